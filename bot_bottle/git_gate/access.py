"""git daemon's access hook: before a fetch, the mirror becomes what the upstream is; a push gets its turn.

A push contacts nobody here: it is scanned first.
"""

from __future__ import annotations

import os
import sys

from git_gate.report import RefusedError, log, tell


def access(service: str, repository: str) -> None:
    """Prepares a service of a repository. Exits with 1 if the client does not get it."""
    try:
        os.chdir(repository)
        name = os.path.basename(repository).removesuffix(".git")
        if service == "receive-pack":
            from git_gate import turn

            turn.give(name)
        elif service == "upload-pack":
            _refresh(name)
        else:
            raise RefusedError(f"{service} is not offered")
    except RefusedError as refused:
        # git daemon shows its client what the access hook prints.
        tell(str(refused), print)
        sys.exit(1)


def _refresh(name: str) -> None:
    from git_gate import git, locks

    url = git.upstream().url
    with locks.held("gate.lock"):
        failed = git.refresh(url)
    if failed is not None:
        raise RefusedError(f"the mirror could not be refreshed: {git.complaint(failed)}")
    git.follow_head(url)
    log(f"{name}: refreshed for a fetch")
