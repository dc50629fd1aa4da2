"""What git-gate says: lines to the client, and lines to the container's log.

Names of repositories, refs, files and people are the client's. A line holds printable ASCII alone, so none of them
can end it and begin another one.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LINE_LENGTH = 400
LOG_VARIABLE = "GIT_GATE_LOG"
"""Names the descriptor of the container's log: git daemon gives its hooks no standard error."""


class RefusedError(Exception):
    """A push or fetch that is not taken. The message is shown to the client."""


def printable(text: str | bytes, length: int = LINE_LENGTH) -> str:
    """The text on one line: every other character is written as an escape, and what is too long is cut."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    escaped = "".join(map(_escaped, text[:length]))
    return escaped if len(escaped) <= length else escaped[:length] + "..."


def _escaped(character: str) -> str:
    return character if " " <= character <= "~" else character.encode("unicode_escape", "surrogatepass").decode()


def tell(text: str, say: Callable[[str], None]) -> None:
    """Says something to the client, and the same in the log."""
    say(f"git-gate: {printable(text)}")
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
