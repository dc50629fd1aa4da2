"""Removes what killed pushes and fetches left in a mirror."""

from __future__ import annotations

import shutil
from pathlib import Path

LEFT_BY_PUSHES = ("objects/tmp_objdir-*", "objects/incoming-*")
LEFT_BY_ANYTHING = (*LEFT_BY_PUSHES, "objects/pack/tmp_*", "objects/??/tmp_obj_*", "scan.*", "*.lock", "refs/**/*.lock")


def sweep_push(repository: Path) -> None:
    """Removes uploads that did not end. Only while no push is under way."""
    _remove(repository, LEFT_BY_PUSHES)


def sweep(repository: Path) -> None:
    """Removes everything unfinished. Only while no process uses the mirror."""
    _remove(repository, LEFT_BY_ANYTHING)


def _remove(repository: Path, patterns: tuple[str, ...]) -> None:
    for pattern in patterns:
        for path in list(repository.glob(pattern)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
