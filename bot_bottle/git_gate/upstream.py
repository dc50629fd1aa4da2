"""A push to the upstream that is held back until what it publishes has been scanned.

git push contacts the upstream, which answers first with its refs. That answer comes by way of a FIFO to this process,
and git push goes on when it is passed on. So the scan is compared with what the upstream has on the very connection
that takes the push, and a push costs one connection.
"""

from __future__ import annotations

import os
import re
import select
import subprocess
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from git_gate import git
from git_gate.report import RefusedError

READ_SIZE = 1 << 16
MOST_REFS_BYTES = 64 << 20
"""Bytes that the upstream's refs may have."""
MALFORMED = "the upstream's answer is not git's"
REF = re.compile(rb"([0-9a-f]{40,64}) (refs/(?:heads|tags)/[^\x00-\x20:*?\[\\^~\x7f]+)")


class HeldPush:
    """A `git push` in the repository that is the current directory."""

    def __init__(self, upstream: git.Upstream, words: Sequence[str], refspecs: Sequence[str]) -> None:
        """Starts it, with options and refs."""
        stem = f"turn.{os.getpid()}"
        self._paths = [f"{stem}.from-upstream", f"{stem}.to-git"]
        for path in self._paths:
            os.mkfifo(path, 0o600)
        self._from = os.open(self._paths[0], os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        # For both, so that neither end waits for the other.
        self._to: int | None = os.open(self._paths[1], os.O_RDWR | os.O_CLOEXEC)
        self._head = bytearray()
        self._said = os.memfd_create("git-gate")
        # The shell itself opens what git reads, and before ssh can end: a child that opens it later, when this process has
        # closed its end already, waits for ever, and so does git.
        to_git, from_upstream = self._paths[1], self._paths[0]
        relay = f'relay() {{ exec 3<{to_git}; cat <&3 & exec {upstream.ssh} "$@" 3<&- >{from_upstream}; }}; relay'
        self._process = subprocess.Popen(
            ["git", "-c", "protocol.version=0", "push", *words, upstream.url, *refspecs],
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=self._said,
            env={**git.environment(), "GIT_SSH_COMMAND": relay, "GIT_SSH_VARIANT": "ssh"},
        )
        self._ended = os.pidfd_open(self._process.pid)

    def __enter__(self) -> Self:
        """Has started already."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Ends it if it was not released."""
        self._process.kill()
        self._process.wait()
        self._close()
        for descriptor in (self._from, self._ended, self._said):
            os.close(descriptor)
        for path in self._paths:
            os.unlink(path)

    def refs(self) -> dict[bytes, str]:
        """The upstream's branches and tags. Raises UnreachableError."""
        refs: dict[bytes, str] = {}
        at = 0
        while True:
            while len(self._head) < at + 4 or len(self._head) < at + self._length(at):
                self._more()
            length = self._length(at)
            if length == 0:
                return refs
            line = bytes(self._head[at + 4 : at + length]).partition(b"\0")[0].rstrip(b"\n")
            if b" refs/heads/" in line or b" refs/tags/" in line:
                found = REF.fullmatch(line)
                if found is None:
                    raise RefusedError(MALFORMED)
                refs[found[2]] = found[1].decode()
            at += length

    def release(self) -> bool:
        """Lets it go on, and returns whether it succeeds."""
        self._pass_on(self._head)
        while piece := self._read():
            self._pass_on(piece)
        self._close()
        return self._process.wait() == 0

    def said(self) -> bytes:
        """What git and ssh have said."""
        return os.pread(self._said, READ_SIZE, 0)

    def _length(self, at: int) -> int:
        try:
            length = int(self._head[at : at + 4], 16)
        except ValueError:
            length = -1
        if length != 0 and length < 4:
            raise RefusedError(MALFORMED)
        return length

    def _more(self) -> None:
        piece = self._read()
        self._head += piece
        if len(self._head) > MOST_REFS_BYTES:
            raise RefusedError("the upstream has too many refs")
        if not piece:
            self._pass_on(self._head)
            self._close()
            self._process.wait()
            raise git.UnreachableError(git.complaint(self.said()))

    def _read(self) -> bytes:
        """What comes from the upstream next; empty at the end."""
        ready, _, _ = select.select([self._from, self._ended], [], [])
        return os.read(self._from, READ_SIZE) if self._from in ready else b""

    def _pass_on(self, data: bytes | bytearray) -> None:
        view = memoryview(data)
        while self._to is not None and view:
            view = view[os.write(self._to, view) :]

    def _close(self) -> None:
        if self._to is not None:
            os.close(self._to)
            self._to = None
