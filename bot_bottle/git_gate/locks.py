"""File locks of the gate: one refresh of a mirror at a time, and one push at a time in the whole gate."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from git_gate.report import RefusedError

WAIT_SECONDS = 120


def take(path: str, busy: str, seconds: int = WAIT_SECONDS) -> int:
    """Waits for a lock and returns its descriptor. Raises RefusedError with ``busy`` when it takes too long."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def late(_number: int, _frame: Any) -> None:
        raise RefusedError(busy)

    try:
        before, left = signal.signal(signal.SIGALRM, late), signal.alarm(seconds)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
            signal.alarm(left)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def held(path: str) -> Iterator[None]:
    """Keeps a lock of the mirror for a while."""
    descriptor = take(path, "the mirror is busy")
    try:
        yield
    finally:
        os.close(descriptor)
