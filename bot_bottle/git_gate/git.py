"""Runs git in the mirror, without what an environment could change about ssh, protocols or objects."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from git_gate.report import RefusedError, printable

QUARANTINE = ("GIT_QUARANTINE_PATH", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES")
MIRRORED = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")


class Upstream(NamedTuple):
    """Where a mirror pushes to."""

    url: str
    ssh: str
    """The command that git runs for a connection."""


class UnreachableError(Exception):
    """The upstream could not be asked; the message is what ssh or git said."""


def environment(quarantine: bool = True) -> dict[str, str]:
    """The environment for git; without ``quarantine`` it neither sees nor writes the objects of the push."""
    dropped = ("GIT_SSH", "GIT_SSH_COMMAND", *(() if quarantine else QUARANTINE))
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**kept, "GIT_ALLOW_PROTOCOL": "ssh", "GIT_NO_REPLACE_OBJECTS": "1", "LC_ALL": "C"}


def run(words: Sequence[str], input: bytes | None = None, quarantine: bool = True) -> subprocess.CompletedProcess[bytes]:
    """Runs a git command to its end."""
    return subprocess.run(
        ["git", *words],
        input=input,
        stdin=subprocess.DEVNULL if input is None else None,
        capture_output=True,
        env=environment(quarantine),
        check=False,
    )


def output(words: Sequence[str], input: bytes | None = None) -> bytes:
    """Standard output of a git command. Raises RefusedError if it fails."""
    done = run(words, input)
    if done.returncode != 0:
        raise RefusedError("the push could not be read, so gitleaks cannot scan it")
    return done.stdout


def upstream() -> Upstream:
    """What this mirror belongs to. Raises RefusedError if it belongs to nothing."""
    done = run(["config", "--null", "--get-regexp", "^(gitgate.upstream|core.sshcommand)$"])
    found = dict(entry.partition("\n")[::2] for entry in done.stdout.decode().split("\0"))
    if done.returncode != 0 or not found.get("gitgate.upstream") or not found.get("core.sshcommand"):
        raise RefusedError("this repository has no upstream")
    return Upstream(found["gitgate.upstream"], found["core.sshcommand"])


def refresh(url: str) -> bytes | None:
    """Makes the mirror's branches and tags those of the upstream. Returns what ssh or git said if that fails."""
    fetch = ["fetch", "--quiet", "--prune", "--no-write-fetch-head", "--no-auto-maintenance", url, *MIRRORED]
    done = run(fetch, quarantine=False)
    return None if done.returncode == 0 else done.stderr + done.stdout


def at_hand(url: str, refs: Mapping[bytes, str], mirrored: set[str]) -> set[str]:
    """Of the ids of the upstream's refs, those that the mirror has or can fetch.

    Refs of the mirror stay as the client saw them: a forced push must not undo what it did not see. Raises
    UnreachableError.
    """
    oids = set(refs.values())
    absent = set(_absent(oids - mirrored))
    wanted = sorted(ref for ref, oid in refs.items() if oid in absent)
    if wanted:
        fetch = ["fetch", "--quiet", "--no-write-fetch-head", "--no-auto-maintenance", "--no-tags", "--stdin", url]
        done = run(fetch, b"".join(ref + b"\n" for ref in wanted), quarantine=False)
        if done.returncode != 0:
            raise UnreachableError(complaint(done.stderr + done.stdout))
        absent = set(_absent(absent))
    return oids - absent


def _absent(oids: Iterable[str]) -> Iterator[str]:
    """Objects that the mirror itself does not have."""
    asked = "".join(f"{oid}\n" for oid in sorted(set(oids))).encode()
    if not asked:
        return iter(())
    answers = run(["cat-file", "--batch-check=%(objectname)"], asked, quarantine=False).stdout
    return (line.split(b" ")[0].decode() for line in answers.splitlines() if line.endswith(b" missing"))


def follow_head(url: str) -> None:
    """Points the mirror's HEAD at the upstream's default branch, if it points at no commit."""
    if run(["rev-parse", "--quiet", "--verify", "HEAD"]).returncode == 0:
        return
    for line in run(["ls-remote", "--symref", url, "HEAD"], quarantine=False).stdout.splitlines():
        if line.startswith(b"ref: refs/heads/") and line.endswith(b"\tHEAD"):
            run(["symbolic-ref", "HEAD", os.fsdecode(line[len("ref: ") : -len("\tHEAD")])])


def complaint(said: bytes) -> str:
    """What a failed command said, in one line that may be shown."""
    return printable(b" ".join(said.split()), 300)
