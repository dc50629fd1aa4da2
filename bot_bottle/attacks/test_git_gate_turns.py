"""Attacks on git-gate's turns: pushes at the same time, and pushes of which a process is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import unittest
from collections.abc import Callable
from pathlib import Path

from .arena import GITLEAKS, Arena
from .git_gate import on_base

PATIENCE = 60.0
"""Seconds for what has to happen."""


def processes(arena: Arena) -> dict[int, str]:
    """Processes that work in the mirror, with their words."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if words and (entry / "cwd").resolve() == arena.mirror.resolve():
                    found[int(entry.name)] = words
            except OSError:
                continue
    return found


def parent(process: int) -> int:
    """The parent of a process."""
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


class Turns(unittest.TestCase):
    def until(self, what: str, happened: Callable[[], bool]) -> None:
        """Waits for something."""
        deadline = time.monotonic() + PATIENCE
        while not happened():
            self.assertLess(time.monotonic(), deadline, f"in vain: {what}")

    def push(self, arena: Arena, ref: str, data: bytes = b"clean\n") -> subprocess.Popen[str]:
        """A push that goes on by itself."""
        tip = on_base(arena, {b"a": data})[0].partition(":")[0]
        process = subprocess.Popen(
            ["git", "push", "--force", arena.gate.url("repo"), f"{tip}:{ref}"], cwd=arena.client,
            env=arena.gate.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def hold(self, arena: Arena, notes: Path) -> Path:
        """From now on gitleaks notes that it begins, and goes on when the FIFO is written to."""
        go = arena.gate.root / "go"
        os.mkfifo(go)
        arena.gate.program("gitleaks", f'#!/bin/sh\necho begin >>"{notes}"\nread -r _ <"{go}"\nexec {GITLEAKS} "$@"\n')
        return go

    def release(self, arena: Arena) -> None:
        """From now on gitleaks waits for nobody."""
        arena.gate.program("gitleaks", f'#!/bin/sh\nexec {GITLEAKS} "$@"\n')

    def test_a_second_push_to_a_branch_waits_for_the_first(self) -> None:
        arena = Arena(self)
        notes = arena.gate.root / "notes"
        notes.touch()
        go = self.hold(arena, notes)
        first = self.push(arena, "refs/heads/main", b"one\n")
        self.until("the first push is scanned", lambda: bool(notes.read_text()))
        second = self.push(arena, "refs/heads/main", b"two\n")
        lock = (arena.mirror.parent / "push.lock").stat().st_ino
        waiting = f":{lock} "
        self.until(
            "the second push waits for the lock",
            lambda: any("->" in line and waiting in line for line in Path("/proc/locks").read_text().splitlines()),
        )
        self.assertEqual(notes.read_text().split(), ["begin"])
        self.assertEqual(len([words for words in processes(arena).values() if "git receive-pack" in words]), 1)
        for push in (first, second):
            with go.open("w") as fifo:
                fifo.write("go\n")
            self.assertEqual(push.wait(PATIENCE), 0)
        self.assertEqual(notes.read_text().split(), ["begin"] * 2)
        self.assertEqual(arena.gate.git("cat-file", "blob", "main:a", at=arena.upstream), "two")

    def test_pushes_at_two_gates_do_not_wait(self) -> None:
        """The control: two pushes of which neither waits are seen."""
        arenas = [Arena(self), Arena(self)]
        notes = arenas[0].gate.root / "notes"
        notes.touch()
        fifos = [self.hold(arena, notes) for arena in arenas]
        pushes = [self.push(arena, "refs/heads/main") for arena in arenas]
        self.until("both are scanned", lambda: notes.read_text().split() == ["begin"] * 2)
        for go, push in zip(fifos, pushes, strict=True):
            with go.open("w") as fifo:
                fifo.write("go\n")
            self.assertEqual(push.wait(PATIENCE), 0)

    def killed(self, arena: Arena, victim: Callable[[int], int]) -> None:
        """Kills a process of a push that is scanned; ``victim`` chooses it by the pid of git receive-pack."""
        notes = arena.gate.root / "notes"
        notes.touch()
        self.hold(arena, notes)
        push = self.push(arena, "refs/heads/killed")
        self.until("the push is scanned", lambda: any("pre-receive" in words for words in processes(arena).values()))
        (receiver,) = (pid for pid, words in processes(arena).items() if "git receive-pack" in words)
        os.kill(victim(receiver), signal.SIGKILL)
        self.assertNotEqual(push.wait(PATIENCE), 0)
        self.until("every process of the push ends", lambda: not processes(arena))
        self.release(arena)
        self.assertEqual(self.push(arena, "refs/heads/next").wait(PATIENCE), 0, "the next push has its turn")
        self.assertEqual(set(arena.refs()), {"refs/heads/trunk", "refs/heads/next"})
        self.until("the next push has ended", lambda: not processes(arena))
        left = [path.name for path in (*arena.mirror.glob("turn.*"), *arena.mirror.glob("objects/tmp_objdir-*"))]
        self.assertEqual(left, [])

    def test_a_killed_receive_pack_ends_its_hook(self) -> None:
        self.killed(Arena(self), lambda receiver: receiver)

    def test_a_killed_connection_ends_its_hook(self) -> None:
        self.killed(Arena(self), parent)

    def test_a_killed_scan_ends_its_push(self) -> None:
        arena = Arena(self)
        self.killed(arena, lambda _: next(pid for pid, words in processes(arena).items() if " access " in words))

    def test_a_hook_that_watches_nothing_outlives_its_push(self) -> None:
        """The control: nothing but its turn ends a hook."""
        arena = Arena(self)
        (arena.gate.hooks / "pre-receive").write_text("#!/bin/sh\nexec tail -f /dev/null\n")
        push = self.push(arena, "refs/heads/killed")

        def running() -> list[int]:
            return [pid for pid, words in processes(arena).items() if words.startswith("tail ")]

        self.until("the hook runs", lambda: bool(running()))
        (hook,) = running()
        self.addCleanup(os.kill, hook, signal.SIGKILL)
        os.kill(parent(hook), signal.SIGKILL)
        self.assertNotEqual(push.wait(PATIENCE), 0)
        self.until("the turn ends", lambda: not any(" access " in words for words in processes(arena).values()))
        self.assertEqual(running(), [hook])

    def test_a_push_without_a_turn_is_refused(self) -> None:
        arena = Arena(self)
        (word,) = on_base(arena, {b"a": b"clean\n"})
        done = arena.gate.try_git("push", str(arena.mirror), word, at=arena.client)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("this push has no turn", done.stdout)
        self.assertEqual(arena.push(word).returncode, 0, "control")


if __name__ == "__main__":
    unittest.main()
