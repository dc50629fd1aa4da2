"""Cuts what is scanned into windows of the size that gitleaks reads at once.

gitleaks 8.30 reads a file 100,000 bytes at a time, and goes on for up to 25,000 more until it finds an empty line. It
looks for a secret within what it has read, so one that lies across an end is not found. A window here has exactly that
size and ends in an empty line: gitleaks sees each window whole and alone. Windows of a long text overlap, so that each
secret of up to `OVERLAP` bytes lies in one of them whole.

A window ends with a canary, a line that gitleaks has to report. A batch begins with text of the gate's own, because
gitleaks passes over input that begins like an image or an archive.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

SIZE = 100_000
OVERLAP = 8_192
WHOLE = SIZE - 100
"""Bytes of a window without its canary."""
GREETING = 4_096
"""Bytes that a batch begins with. By the first few hundred, gitleaks takes input for an image or an archive."""
LINE_SEARCH = 2_048
"""How far a cut may move to fall between lines."""


class Document(NamedTuple):
    """What is scanned as one text, and what a finding in it is called."""

    kind: str
    """refs, commit, tag, blob or paths."""
    name: str
    """Id of the object."""
    path: bytes
    """Path of a file."""


class Spot(NamedTuple):
    """Where a finding is."""

    document: Document
    line: bytes


class Batch:
    """Windows for one run of gitleaks."""

    def __init__(self, canary: str, greeting: str, most: int) -> None:
        """Starts with a greeting and spaces. Canaries are ``canary``, a dot and a number; windows are at ``most``."""
        self._canary = canary
        self._most = most
        self.windows: list[bytes] = []
        self.ends: list[int] = []
        """The line of each window's canary; lines count from 1 at the start of the batch."""
        self._firsts: list[int] = []
        self._contents: list[list[tuple[int, Document]]] = []
        self._line = 1
        self._open()
        self.add(Document("refs", "", b""), greeting.encode() + b" " * GREETING)

    @property
    def room(self) -> int:
        """Bytes that the current window can still take."""
        return WHOLE - len(self._window)

    @property
    def full(self) -> bool:
        """Whether the batch has all its windows."""
        return len(self.windows) >= self._most

    @property
    def empty(self) -> bool:
        """Whether the batch has nothing but its greeting."""
        return not self.windows and len(self._contents[0]) == 1

    def _open(self) -> None:
        self._window = bytearray()
        self._firsts.append(self._line)
        self._contents.append([])

    def add(self, document: Document, text: bytes) -> None:
        """Puts a text into the current window, which has to have room for it."""
        self._contents[-1].append((self._line, document))
        self._window += text + b"\n"
        self._line += text.count(b"\n") + 1

    def finish(self) -> None:
        """Ends the last window."""
        footer = f"{self._canary}.{len(self.windows)}\n\n".encode()
        # Spaces, not lines: gitleaks looks up the lines of a window that it finds something in.
        self.windows.append(bytes(self._window) + b" " * (SIZE - len(self._window) - len(footer)) + footer)
        self.ends.append(self._line)
        self._line += 2

    def turn(self) -> None:
        """Ends the current window and begins the next."""
        self.finish()
        self._open()

    def spot(self, window: int, line: int) -> Spot:
        """What is in a line of a window."""
        contents = self._contents[window]
        at = max(0, bisect_right(contents, line, key=lambda start: start[0]) - 1)
        lines = self.windows[window].split(b"\n")
        return Spot(contents[at][1], lines[min(max(line - self._firsts[window], 0), len(lines) - 1)])


def cut(text: bytes, room: int) -> Iterator[bytes]:
    """Cuts a text into overlapping pieces, the first of at most ``room`` bytes, the others of at most `WHOLE`.

    Cuts fall between lines where the lines are short.
    """
    start = 0
    while True:
        end = start + room - 1
        if end >= len(text):
            yield text[start:]
            return
        newline = text.rfind(b"\n", max(start + OVERLAP + LINE_SEARCH, end - LINE_SEARCH), end)
        end = newline + 1 if newline >= 0 else end
        yield text[start:end]
        start = end - OVERLAP
        newline = text.rfind(b"\n", start - LINE_SEARCH, start)
        start = newline + 1 if newline >= 0 else start
        room = WHOLE
