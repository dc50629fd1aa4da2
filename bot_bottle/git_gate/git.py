"""Runs git in the mirror, without what an environment could change about ssh, protocols or objects."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence

from git_gate.report import RefusedError, printable

QUARANTINE = ("GIT_QUARANTINE_PATH", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES")
MIRRORED = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")


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


def upstream() -> str:
    """The URL that this mirror belongs to. Raises RefusedError if there is none."""
    done = run(["config", "--get", "gitgate.upstream"])
    url = done.stdout.decode().strip()
    if done.returncode != 0 or not url:
        raise RefusedError("this repository has no upstream")
    return url


def refresh(url: str) -> bytes | None:
    """Makes the mirror's branches and tags those of the upstream. Returns what ssh or git said if that fails."""
    fetch = ["fetch", "--quiet", "--prune", "--no-write-fetch-head", "--no-auto-maintenance", url, *MIRRORED]
    done = run(fetch, quarantine=False)
    return None if done.returncode == 0 else done.stderr + done.stdout


class UnreachableError(Exception):
    """The upstream could not be asked; the message is what ssh or git said."""


def published_now(url: str) -> list[str]:
    """Ids that the upstream's branches and tags have at this moment, as far as the mirror can have the objects.

    Refs of the mirror stay as the client saw them: a forced push must not undo what it did not see. Raises
    UnreachableError.
    """
    listing = run(["ls-remote", "--refs", url, "refs/heads/*", "refs/tags/*"], quarantine=False)
    if listing.returncode != 0:
        raise UnreachableError(complaint(listing.stderr + listing.stdout))
    refs = dict(line.decode("utf-8", "surrogateescape").split("\t", 1)[::-1] for line in listing.stdout.splitlines())
    absent = set(_absent(refs.values()))
    wanted = sorted(ref for ref, oid in refs.items() if oid in absent)
    if wanted:
        fetch = ["fetch", "--quiet", "--no-write-fetch-head", "--no-auto-maintenance", "--no-tags", "--stdin", url]
        done = run(fetch, os.fsencode("".join(f"{ref}\n" for ref in wanted)), quarantine=False)
        if done.returncode != 0:
            raise UnreachableError(complaint(done.stderr + done.stdout))
        absent = set(_absent(refs.values()))
    return sorted(set(refs.values()) - absent)


def _absent(oids: Iterable[str]) -> Iterator[str]:
    """Objects that the mirror itself does not have."""
    asked = "".join(f"{oid}\n" for oid in sorted(set(oids))).encode()
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
