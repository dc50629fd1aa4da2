#!/usr/bin/env python3
"""Pushes through git-gate, of this tree and of another revision, alternating: prints medians and ratios, asserts nothing.

    tests/live/tools/build && benches/git_gate.py [ROUNDS] [REVISION]

Without REVISION, the one before git-gate's hooks were Python. git daemon, hooks and gitleaks are real; ssh is a stand-in
that runs the command on this machine, so the upstream costs next to nothing.
"""

from __future__ import annotations

import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bot_bottle.attacks.arena import Arena  # noqa: E402

BEFORE = "26a1c91"
WORDS = ["the", "of", "and", "to", "in", "is", "that", "for", "it", "as", "was", "with", "be", "by", "on", "not", "he", "his", "but", "at", "are", "this", "have", "from", "or", "had", "an", "they"]


def text(seed: int, size: int) -> bytes:
    """Lines of words."""
    draw = random.Random(seed)
    lines = []
    while size > 0:
        lines.append(" ".join(draw.choices(WORDS, k=12)))
        size -= len(lines[-1]) + 1
    return ("\n".join(lines) + "\n").encode()


def scripts(revision: str, folder: pathlib.Path) -> pathlib.Path:
    """git-gate's scripts as they were."""
    for name in ("entrypoint.sh", "access-hook", "pre-receive"):
        path = folder / name
        shown = subprocess.run(["git", "show", f"{revision}:bot_bottle/git_gate/{name}"], cwd=ROOT, check=True, capture_output=True)
        path.write_bytes(shown.stdout)
        path.chmod(0o755)
    return folder


def commits(arena: Arena, kind: str, seed: int) -> str:
    """The tip of a push."""
    if kind == "one small file":
        return arena.commit(arena.files({b"a": text(seed, 1_000)}), arena.base)
    if kind == "20 commits of 5 files":
        tip = arena.base
        for at in range(20):
            tip = arena.commit(arena.files({b"d/%d" % name: text(seed + at * 5 + name, 3_000) for name in range(5)}), tip)
        return tip
    if kind == "2 MB in 100 files":
        return arena.commit(arena.files({b"d/%d" % name: text(seed + name, 20_000) for name in range(100)}), arena.base)
    return arena.commit(arena.files({b"a": text(seed, 4_000_000)}), arena.base)


def push(arena: Arena, tip: str) -> float:
    """Seconds of a push by way of git daemon."""
    started = time.monotonic()
    arena.gate.git("push", "--quiet", arena.gate.url("repo"), f"{tip}:refs/heads/{tip}", at=arena.client)
    return time.monotonic() - started


def main() -> None:
    """The command."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    revision = sys.argv[2] if len(sys.argv) > 2 else BEFORE
    case = unittest.TestCase()
    with tempfile.TemporaryDirectory() as folder:
        try:
            arenas = {"before": Arena(case, scripts=scripts(revision, pathlib.Path(folder))), "now": Arena(case)}
            for kind in ("one small file", "20 commits of 5 files", "2 MB in 100 files", "one file of 4 MB"):
                taken: dict[str, list[float]] = {name: [] for name in arenas}
                for at in range(rounds):
                    for name, arena in arenas.items():
                        taken[name].append(push(arena, commits(arena, kind, at * 1_000_003)))
                medians = {name: statistics.median(times) for name, times in taken.items()}
                ratio = statistics.median(now / before for before, now in zip(taken["before"], taken["now"], strict=True))
                print(f"{kind:22} before {medians['before']:6.2f} s, now {medians['now']:6.2f} s, ratio {ratio:.2f}")
        finally:
            case.doCleanups()


if __name__ == "__main__":
    main()
