# Stands in for the Rust image: the machine has built sidecar-init already.
FROM bottle-live/debian
COPY sidecar-init /sidecar-init-built
COPY cargo /usr/local/bin/cargo
RUN printf '#!/bin/sh\necho host: x86_64-unknown-linux-gnu\n' >/usr/local/bin/rustc && chmod 755 /usr/local/bin/rustc
