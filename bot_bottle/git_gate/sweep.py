"""Removes what killed pushes and fetches left in a mirror."""

from __future__ import annotations

import os

LEFT_BY_ANYTHING = ("objects/pack/tmp_*", "objects/??/tmp_obj_*", "scan.*", "*.lock", "refs/**/*.lock")


def sweep_push(repository: str) -> None:
    """Removes uploads and turns that did not end. Only while no push is under way."""
    for name in os.listdir(f"{repository}/objects"):
        if name.startswith(("tmp_objdir-", "incoming-")):
            _remove(f"{repository}/objects/{name}")
    for name in os.listdir(repository):
        if name.startswith("turn."):
            # A hook may still wait at the other end.
            os.close(os.open(f"{repository}/{name}", os.O_RDWR | os.O_NONBLOCK))
            os.unlink(f"{repository}/{name}")


def sweep(repository: str) -> None:
    """Removes everything unfinished. Only while no process uses the mirror."""
    from pathlib import Path

    sweep_push(repository)
    for pattern in LEFT_BY_ANYTHING:
        for path in list(Path(repository).glob(pattern)):
            _remove(str(path))


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        import shutil

        shutil.rmtree(path, ignore_errors=True)
    elif os.path.lexists(path):
        os.unlink(path)
