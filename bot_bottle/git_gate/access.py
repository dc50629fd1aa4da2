"""git daemon's access hook: before a fetch, the mirror becomes what the upstream is; a push gets its turn.

A push contacts nobody here: pre-receive scans it first.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from pathlib import Path

from git_gate import git, locks
from git_gate.limits import limits
from git_gate.report import RefusedError, command, log
from git_gate.sweep import sweep_push

PUSH_LOCK = "push.lock"


def main() -> None:
    """Prepares a service of a repository. Raises RefusedError if the client does not get it."""
    service, repository = sys.argv[1:3]
    os.chdir(repository)
    url = git.upstream()
    name = Path(repository).name.removesuffix(".git")
    if service == "receive-pack":
        _give_turn(Path(repository), name)
    elif service == "upload-pack":
        with locks.held("gate.lock"):
            failed = git.refresh(url)
        if failed is not None:
            raise RefusedError(f"the mirror could not be refreshed: {git.complaint(failed)}")
        git.follow_head(url)
        log(f"{name}: refreshed for a fetch")
    else:
        raise RefusedError(f"{service} is not offered")


def _give_turn(repository: Path, name: str) -> None:
    """Lets one push at a time upload and be scanned. The turn ends with the connection, or at the deadline."""
    connection = os.getppid()
    if str(connection) in ("1", os.environ.get(locks.PARENT_VARIABLE)):
        raise RefusedError("the connection is gone")
    watched = os.pidfd_open(connection)
    locks.take(str(repository.parent / PUSH_LOCK), "another push is being scanned; push again later")
    sweep_push(repository)
    seconds = limits(os.environ).seconds
    if os.fork() != 0:
        return
    # git daemon goes on when nobody has the hook's standard output any more.
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    if not select.select([watched], [], [], seconds)[0]:
        log(f"{name}: a push took longer than {seconds} seconds and is ended")
        for process in _descendants(connection):
            _kill(process)
    os._exit(0)


def _descendants(process: int) -> list[int]:
    """The process and all that it started, parents first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found = [process]
    for parent in found:
        found.extend(children.get(parent, ()))
    return found


def _kill(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    # git daemon shows its client what the access hook prints.
    command(main, sys.stdout)
