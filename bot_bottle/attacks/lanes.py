"""Where attacks run: an origin, an upstream proxy, and a mitmdump for each set of options, with or without the guard."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Self

from . import egress
from .origin import Origin, Upstream
from .proxy import ROUTES, Mitmdump


class Lane:
    """One chain, guarded or not. What reaches one lane's origin comes from that lane."""

    def __init__(self, chain: str, *, guarded: bool) -> None:
        self.chain = chain
        self.guarded = guarded
        self._folder = tempfile.TemporaryDirectory(prefix="lane-")
        self.origin = Origin(Path(self._folder.name))
        self._upstream = Upstream(self.origin)
        self._running: dict[tuple[str, ...], Mitmdump] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for proxy in self._running.values():
            proxy.close()
        self._upstream.close()
        self.origin.close()
        self._folder.cleanup()

    def proxy(self, *options: str) -> Mitmdump:
        """The lane's mitmdump with these options, started if it does not run."""
        if options not in self._running:
            self._running[options] = self.start(*options)
        return self._running[options]

    def start(self, *options: str, routes: str = ROUTES, preamble: str = "") -> Mitmdump:
        """Another mitmdump of this lane, which the caller closes; PREAMBLE is run before the addon is made."""
        return Mitmdump(
            self.origin, self._upstream, self.chain, *options, guarded=self.guarded, routes=routes, preamble=preamble
        )

    def works(self, attack: egress.Attack, patience: float) -> bool:
        """Whether an attack works within PATIENCE seconds."""
        proxy = self.proxy(*(() if self.guarded else attack.control))
        self.origin.record.clear()
        before = len(proxy.log())
        try:
            answer = attack.send(proxy)
        except OSError as error:
            answer = repr(error).encode()
        deadline = time.monotonic() + patience
        while True:
            with self.origin.record.lock:
                if attack.worked(egress.Evidence(self.origin.record, answer, proxy.log()[before:])):
                    return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
