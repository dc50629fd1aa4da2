"""The queue of proposals: what the agent asks for lands as one JSON file each, for a person outside to decide.

The folder is /run/supervise/queue, or what SUPERVISE_QUEUE names. A reader that looks at ``*.json`` sees whole files
only: each is written under a hidden name, synced, and renamed. Names sort by time and never repeat.

When `MAX_FILES` proposals wait, another one is refused, and answer and log say so. The oldest ones stay: an agent must
not be able to push out what a person has not yet seen. Deleting files makes room.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

DEFAULT_FOLDER = "/run/supervise/queue"
FILE_MODE = 0o644
"""The person who decides is rarely the user that supervise runs as."""
MAX_FILES = 1000
MAX_FILE_BYTES = 1 << 16


class QueueError(Exception):
    """A proposal that the queue cannot take; the message may be shown to the agent."""


class Queue:
    """A folder of proposals, bounded in number and size. Safe to share between threads of one process."""

    def __init__(self, folder: Path, max_files: int = MAX_FILES) -> None:
        """Takes the folder as it is, without files that a crash left half written. Raises OSError if it is unusable."""
        self.folder = folder
        self._max_files = max_files
        self._lock = threading.Lock()
        for path in folder.iterdir():
            if path.name.startswith(".") and path.name.endswith(".tmp") and not path.is_dir():
                path.unlink(missing_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(f"{folder} is not writable")

    def put(self, proposal: Mapping[str, str]) -> str:
        """Files a proposal and returns its id. Raises QueueError, and leaves nothing behind, if it cannot."""
        now = datetime.now(UTC)
        name = f"{now:%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(8)}"
        record = {**proposal, "id": name, "time": now.isoformat()}
        data = json.dumps(record, indent=2, sort_keys=True).encode() + b"\n"
        if len(data) > MAX_FILE_BYTES:
            raise QueueError(f"the proposal is larger than {MAX_FILE_BYTES} bytes")
        try:
            with self._lock:
                if sum(1 for path in self.folder.iterdir() if path.suffix == ".json") >= self._max_files:
                    raise QueueError(f"the queue is full: {self._max_files} proposals wait already")
                self._write(name, data)
        except OSError as error:
            raise QueueError(f"the queue cannot be written: {error.strerror}") from error
        return name

    def _write(self, name: str, data: bytes) -> None:
        hidden = self.folder / f".{name}.tmp"
        try:
            with open(os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE), "wb") as file:
                os.fchmod(file.fileno(), FILE_MODE)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            hidden.rename(self.folder / f"{name}.json")
        except BaseException:
            hidden.unlink(missing_ok=True)
            raise
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def from_environment(environment: Mapping[str, str]) -> Queue:
    """The queue that SUPERVISE_QUEUE names, or the default one."""
    return Queue(Path(environment.get("SUPERVISE_QUEUE") or DEFAULT_FOLDER))
