# Commands of this repository: `just --list`. CI runs `.ci/run`, which needs no just.

# format, lints and docs
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps --locked
    .ci/deny

# unit and integration tests, and those of bot_bottle
test *args:
    cargo test --workspace --locked {{args}}
    python3 -m unittest discover -s bot_bottle/tests -t .

# tests with a real Compose, a real engine and a real PID 1; needs root
live *args:
    tests/live/tools/build
    tests/live/engine/up
    .ci/python
    cargo test --workspace --locked --features live,sidecar-init/pid1 --test live --test init {{args}}
    tests/live/engine/down

# benchmarks of bottle-migrate and sidecar-init, with the profile that is released
bench:
    cargo build --locked --profile dist
    RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked --profile dist --package sidecar-init --target x86_64-unknown-linux-gnu
    benches/whole_process.py
    benches/scan.py
    benches/sidecar_init.py

# rewrites the snapshots and the page of rules to what the code prints now
bless:
    BLESS=1 INSTA_UPDATE=always cargo test --locked --test integration
    git diff --stat

# faults of the renderers that `diff` or a test notices; run it by hand, and every night
mutants *args:
    benches/mutants.py {{args}}
