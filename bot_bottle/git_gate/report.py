"""What git-gate says: lines to the client, and lines to the container's log.

Names of repositories, refs, files and people are the client's. A line holds printable ASCII alone, so none of them
can end it and begin another one.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from typing import TextIO

LINE_LENGTH = 400
LOG_VARIABLE = "GIT_GATE_LOG"
"""Names the descriptor of the container's log: git daemon gives its hooks no standard error."""

_UNPRINTABLE = re.compile(r"[^ -~]")


class RefusedError(Exception):
    """A push or fetch that is not taken. The message is shown to the client."""


def printable(text: str | bytes, length: int = LINE_LENGTH) -> str:
    """The text on one line: every other character is written as an escape, and what is too long is cut."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    escaped = _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text[:length])
    return escaped if len(escaped) <= length else escaped[:length] + "..."


def tell(text: str, stream: TextIO) -> None:
    """Says something to the client, and the same in the log."""
    line = f"git-gate: {printable(text)}"
    print(line, file=stream, flush=True)
    log(text)


def log(text: str) -> None:
    """Writes a line to the container's log, in one piece, so that lines of several hooks do not mix."""
    number = os.environ.get(LOG_VARIABLE, "")
    if not (number.isascii() and number.isdigit()):
        return
    try:
        os.write(int(number), f"git-gate: {printable(text)}\n".encode())
    except OSError:
        return


def command(main: Callable[[], None], stream: TextIO = sys.stderr) -> None:
    """Runs what the entrypoint or a hook asks for. Says why something is refused, and exits with 1."""
    try:
        main()
    except RefusedError as refused:
        tell(str(refused), stream)
        sys.exit(1)
