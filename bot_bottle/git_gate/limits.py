"""How much a push may cost, in bytes and seconds. A push that needs more is refused, never scanned in part."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from git_gate.report import RefusedError


class Limits(NamedTuple):
    """Bounds of one push. Each can be set by an environment variable of git-gate."""

    pack_bytes: int = 64 << 20
    """Size of the pack as the client sends it (GIT_GATE_MAX_PACK_BYTES)."""
    object_bytes: int = 32 << 20
    """Size of one file, commit, tag or folder (GIT_GATE_MAX_OBJECT_BYTES)."""
    scan_bytes: int = 128 << 20
    """Sum of all that is scanned: new objects, file names, and what was unpacked (GIT_GATE_MAX_SCAN_BYTES)."""
    seconds: int = 600
    """Time for the whole push: upload, scan and the push to the upstream (GIT_GATE_MAX_SECONDS)."""


def limits(environment: Mapping[str, str]) -> Limits:
    """The bounds that the environment sets. Raises RefusedError on a value that is not a positive whole number."""
    chosen: dict[str, int] = {}
    for field in Limits._fields:
        name = f"GIT_GATE_MAX_{field.upper()}"
        value = environment.get(name)
        if value is None:
            continue
        if not re.fullmatch("[1-9][0-9]{0,14}", value):
            raise RefusedError(f"{name} has to be a positive whole number")
        chosen[field] = int(value)
    return Limits(**chosen)


class Budget:
    """Bytes that are left for a scan."""

    def __init__(self, total: int) -> None:
        """Starts with all of them."""
        self.total = total
        self.left = total

    def spend(self, count: int) -> None:
        """Takes bytes out. Raises RefusedError when they are used up."""
        self.left -= count
        if self.left < 0:
            raise RefusedError(
                f"the push is too large to scan: more than {self.total} bytes after unpacking; push less at once"
            )
