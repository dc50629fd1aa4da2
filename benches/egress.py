#!/usr/bin/env python3
"""egress's throughput with this addon and with an earlier one, in one run: requests, tunnels and bodies.

    target/live/mitmproxy/bin/python benches/egress.py [COMMIT]

mitmdump runs on one core, so what a request costs it in processor time is its throughput; wall time is shown as well,
and says more about other programs on a busy machine. Rounds alternate; each figure is the median.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bot_bottle.attacks import client, egress, proxy  # noqa: E402 - the path comes first
from bot_bottle.attacks.origin import Origin, Upstream  # noqa: E402

BEFORE = sys.argv[1] if len(sys.argv) > 1 else "26a1c91"
ROUNDS = 5
REQUESTS = 200
TUNNELS = 25
BODY = 32 << 20
ROUTES = "routes:\n  - host: open.test\n  - host: api.test\n    token: EGRESS_TOKEN_0\n"


def requests(target: proxy.Mitmdump) -> None:
    """Small requests on one connection."""
    with client.connect(target.port) as stream:
        for _ in range(REQUESTS):
            client.write(stream, egress.absolute(b"/x", b"Accept: */*", b"User-Agent: bench", b"Cookie: a=b"))
            read(stream)


def tunnels(target: proxy.Mitmdump) -> None:
    """One request in TLS in a tunnel of its own."""
    for _ in range(TUNNELS):
        with client.tunnel(target.port, "api.test:443", "api.test") as stream:
            client.write(stream, egress.get(b"/x"))
            read(stream)


def body(target: proxy.Mitmdump) -> None:
    """A large upload."""
    with client.connect(target.port) as stream:
        client.write(stream, egress.absolute(b"/x", b"Content-Length: %d" % BODY, method=b"POST"))
        client.write(stream, b"x" * BODY)
        read(stream)


def read(stream: client.socket.socket) -> None:
    """One answer of the origin."""
    found = b""
    while not found.endswith(b"ok"):
        data = stream.recv(65536)
        if not data:
            raise SystemExit(f"no answer: {found!r}")
        found += data


def processor(target: proxy.Mitmdump) -> float:
    """Seconds of processor time that mitmdump has used."""
    tasks = Path(f"/proc/{target.process.pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def modules(commit: str, folder: Path) -> Path:
    """The addon as it was."""
    listed = subprocess.run(
        ["git", "ls-tree", "--name-only", commit, "bot_bottle/"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in listed.stdout.split():
        if name.endswith(".py"):
            text = subprocess.run(["git", "show", f"{commit}:{name}"], cwd=ROOT, check=True, capture_output=True)
            (folder / Path(name).name).write_bytes(text.stdout)
    return folder


def main() -> None:
    """Prints a line for each kind of load."""
    loads: list[tuple[Callable[[proxy.Mitmdump], None], float, str]] = [
        (requests, REQUESTS, "requests"), (tunnels, TUNNELS, "tunnels"), (body, BODY / (1 << 20), "MB"),
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as text, tempfile.TemporaryDirectory() as earlier:
        origin = Origin(Path(text))
        upstream = Upstream(origin)
        folders = (modules(BEFORE, Path(earlier)), proxy.MODULES)
        targets = [proxy.Mitmdump(origin, upstream, "regular", routes=ROUTES, modules=folder) for folder in folders]
        try:
            for load, amount, unit in loads:
                cost: tuple[list[float], list[float]] = ([], [])
                wall: tuple[list[float], list[float]] = ([], [])
                for turn in range(ROUNDS * 2):
                    which = turn % 2
                    began, used = time.perf_counter(), processor(targets[which])
                    load(targets[which])
                    cost[which].append(processor(targets[which]) - used)
                    wall[which].append(time.perf_counter() - began)
                    origin.record.clear()
                old, new = (amount / median(part) for part in cost)
                walls = [amount / median(part) for part in wall]
                print(f"{unit}: {BEFORE} {old:.0f}, now {new:.0f} per second of processor time ({new / old - 1:+.1%}); "
                      f"wall {walls[0]:.0f}, now {walls[1]:.0f}")  # fmt: skip
        finally:
            for target in targets:
                target.close()
            upstream.close()
            origin.close()


if __name__ == "__main__":
    main()
