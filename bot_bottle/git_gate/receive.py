"""Scans with gitleaks what a push would publish, then pushes it upstream, or takes nothing.

Scanned are the names of the pushed refs, every new commit and tag as it is stored, every new file as a whole, and every
path that a new folder has. New is what the upstream does not have: first against the mirror, without contact to the
upstream, and, once that found nothing, against what the upstream says that it has, which may be less. It says so on the
connection that then takes the push.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from git_gate import git, locks
from git_gate.limits import Budget, Limits
from git_gate.objects import Folders, new_objects, revisions
from git_gate.report import RefusedError, log, printable, tell
from git_gate.scanner import Finding, Scanner
from git_gate.upstream import HeldPush
from git_gate.windows import Document

MOST_REFS = 1_000
"""Refs of a push. Each is an argument of git push, and the kernel takes about 2 MB of arguments."""
MOST_BOUNDARIES = 20
MOST_TOLD = 20
NOT_TAKEN = "the upstream did not take the push"
# What `go mod` writes. Where a module's name says "auth" or "token", gitleaks takes its checksum for a key.
GO_SUM = re.compile(rb"[\w.~!/-]+ v[0-9][\w.+-]*(?:/go\.mod)? h1:[A-Za-z0-9+/]{43}=")
GO_SUM_NAMES = (b"go.sum", b"go.work.sum")


class Update(NamedTuple):
    """A ref that the client wants to change; ids are empty where there is no object."""

    old: str
    new: str
    ref: str


Say = Callable[[str], None]
"""Shows the client a line."""


def prepared(bounds: Limits) -> Scanner:
    """A scanner that has started already."""
    scanner = Scanner(Budget(bounds.scan_bytes), os.environ)
    scanner.start_ahead()
    return scanner


def receive(name: str, lines: Iterable[bytes], bounds: Limits, scanner: Scanner, say: Say) -> bool:
    """Takes a push to the repository that is the current directory, given as lines OLD NEW REF.

    Returns whether it is taken. Raises RefusedError if it is not.
    """
    started = time.monotonic()
    updates = list(_updates(lines))
    if len(updates) > MOST_REFS:
        raise RefusedError(f"a push changes at most {MOST_REFS} refs, and this one {len(updates)}: push less at once")
    try:
        scanned = take(updates, bounds, scanner, say)
    except RefusedError:
        log(f"{name}: a push of {len(updates)} refs is refused")
        raise
    log(f"{name}: pushed {len(updates)} refs, {scanned} bytes scanned in {time.monotonic() - started:.1f} s")
    return True


def take(updates: Sequence[Update], bounds: Limits, scanner: Scanner, say: Say) -> int:
    """Scans what is pushed and publishes it. Returns how many bytes were scanned. Raises RefusedError."""
    upstream = git.upstream()
    tips = [update.new for update in updates if update.new]
    _check_commits([update for update in updates if update.new])
    budget = scanner.budget
    push = Push(updates, tips, bounds, budget, say)
    push.scan(None, scanner)
    with HeldPush(upstream, _push_words(updates), [f"{update.new}:{update.ref}" for update in updates]) as held:
        try:
            mirrored = set(git.output(["for-each-ref", "--format=%(objectname)"]).decode().split())
            with locks.held("gate.lock"):
                published = git.at_hand(upstream.url, held.refs(), mirrored)
            if tips and not mirrored <= published:
                # The mirror has what the upstream does not have any more, and the push would publish it anew.
                push.scan(sorted(published), Scanner(budget, os.environ))
            failed = not held.release()
        except git.UnreachableError as error:
            raise RefusedError(f"{NOT_TAKEN}: {error}") from error
        for line in held.said().splitlines():
            say(printable(line))
    if failed:
        raise RefusedError(NOT_TAKEN)
    return budget.total - budget.left


def _check_commits(updates: Sequence[Update]) -> None:
    asked = "".join(f"{update.new}^{{commit}}\n" for update in updates).encode()
    answers = git.output(["cat-file", "--batch-check=%(objecttype)"], asked).splitlines()
    for update, answer in zip(updates, answers, strict=True):
        if answer != b"commit":
            raise RefusedError(f"{update.ref} holds no commit")


class Push:
    """The objects of a push, of which each is scanned once."""

    def __init__(
        self, updates: Sequence[Update], tips: Sequence[str], bounds: Limits, budget: Budget, say: Say
    ) -> None:  # fmt: skip
        """Takes the refs of the push, its limits, and the function that shows a line to the client."""
        self._say = say
        self._updates = updates
        self._tips = tips
        self._bounds = bounds
        self._budget = budget
        self._done: set[str] = set()
        self._paths: set[bytes] = set()

    def scan(self, published: Sequence[str] | None, scanner: Scanner) -> None:
        """Scans what is not published and was not scanned before. Raises RefusedError if it finds a secret."""
        folders = Folders()
        documents = self._documents(published, folders)
        findings = _scan(documents, scanner)
        if not findings:
            return
        places: dict[str, list[tuple[str, bytes]]] = {}
        for place in folders.places():
            places.setdefault(place.oid, []).append((place.commit, place.path))
        findings = [finding for finding in findings if not _is_checksum(finding, places)]
        excused = self._excused(findings, places, published)
        left = [finding for finding in findings if (finding.rule, finding.match) not in excused]
        # What was excused by a version that the upstream may not have any more is looked at again.
        self._done -= {finding.document.name for finding in findings}
        self._paths.clear()
        if left:
            for line in sorted({_sentence(finding, places) for finding in left})[:MOST_TOLD]:
                tell(f"gitleaks: {line}", self._say)
            raise RefusedError("gitleaks found a secret in the push: remove it from every commit and push again")

    def _documents(self, published: Sequence[str] | None, folders: Folders) -> Iterator[tuple[Document, bytes]]:
        yield Document("refs", "", b""), "\n".join(update.ref for update in self._updates).encode()
        if not self._tips:
            return
        for thing in new_objects(self._tips, published, self._bounds):
            folders.add(thing)
            if thing.kind == "tree":
                self._budget.spend(len(thing.data))
            elif thing.oid not in self._done:
                self._done.add(thing.oid)
                yield Document(thing.kind, thing.oid, thing.path), thing.data
        names: list[bytes] = []
        for place in folders.places():
            # A whole path, and the name alone: what is before it can hide how it begins.
            for name in (place.path, place.path.rpartition(b"/")[2]):
                if name not in self._paths:
                    self._paths.add(name)
                    self._budget.spend(len(name))
                    names.append(name)
        yield Document("paths", "", b""), b"\n".join(names)

    def _excused(
        self, findings: Iterable[Finding], places: dict[str, list[tuple[str, bytes]]], published: Sequence[str] | None
    ) -> set[tuple[str, str]]:
        """What gitleaks finds in the upstream's version of the same files, and in its paths.

        A change elsewhere in a file leaves what the upstream has published, and is no alarm.
        """
        words, input = revisions(self._tips, published)
        edges = git.output(["rev-list", "--boundary", *words], input)
        commits = [line[1:].decode() for line in edges.splitlines() if line.startswith(b"-")][:MOST_BOUNDARIES]
        wanted = {path for finding in findings for _, path in places.get(finding.document.name, ())}
        with_paths = any(finding.document.kind == "paths" for finding in findings)
        scanner = Scanner(Budget(self._bounds.scan_bytes), os.environ)
        documents = _published_documents(commits, wanted, with_paths, self._bounds)
        return {(finding.rule, finding.match) for finding in _scan(documents, scanner)}


def _published_documents(
    commits: Sequence[str], paths: Iterable[bytes], with_paths: bool, bounds: Limits
) -> Iterator[tuple[Document, bytes]]:
    seen: set[bytes] = set()
    for commit in commits:
        listing = git.output(["ls-tree", "-r", "-t", "-z", commit])
        names: list[bytes] = []
        for line in listing.split(b"\0")[:-1]:
            facts, _, path = line.partition(b"\t")
            oid = facts.split(b" ")[2]
            names += [path, path.rpartition(b"/")[2]]
            if path in paths and oid not in seen:
                seen.add(oid)
                size = int(git.output(["cat-file", "-s", oid.decode()]))
                if size <= bounds.object_bytes:
                    yield Document("blob", oid.decode(), path), git.output(["cat-file", "blob", oid.decode()])
        if with_paths:
            yield Document("paths", "", b""), b"\n".join(names)


def _scan(documents: Iterable[tuple[Document, bytes]], scanner: Scanner) -> list[Finding]:
    try:
        for document, text in documents:
            scanner.add(document, text)
        return scanner.finish()
    finally:
        scanner.stop()


def _updates(lines: Iterable[bytes]) -> Iterator[Update]:
    for line in lines:
        old, new, ref = line.decode("utf-8", "surrogateescape").rstrip("\n").split(" ", 2)
        if not ref.startswith(("refs/heads/", "refs/tags/")):
            raise RefusedError(f"{ref} is neither a branch nor a tag")
        yield Update(old.strip("0") and old, new.strip("0") and new, ref)


def _is_checksum(finding: Finding, places: dict[str, list[tuple[str, bytes]]]) -> bool:
    """Whether it is a line of a go.sum file, whole and alone."""
    if finding.rule != "generic-api-key" or not GO_SUM.fullmatch(finding.line.removesuffix(b"\r")):
        return False
    return any(path.rpartition(b"/")[2] in GO_SUM_NAMES for _, path in places.get(finding.document.name, ()))


def _sentence(finding: Finding, places: dict[str, list[tuple[str, bytes]]]) -> str:
    """What was found where, without the secret."""
    kind, name, path = finding.document
    if kind == "blob":
        commit, path = places.get(name, [("", path)])[0]
        return f"{finding.rule} in {_shown(path)} of commit {commit}"
    if kind in ("commit", "tag"):
        return f"{finding.rule} in the text of {kind} {name}"
    return f"{finding.rule} in the name of a {'file' if kind == 'paths' else 'ref'}"


def _shown(path: bytes) -> str:
    return printable(path, 200)


def _push_words(updates: Sequence[Update]) -> list[str]:
    words = ["--quiet", "--no-verify", "--no-follow-tags", "--recurse-submodules=no", "--no-signed"]
    if len(updates) > 1:
        words.append("--atomic")
    # The upstream must still be where the client saw it: no push undoes what somebody else pushed meanwhile.
    words += [f"--force-with-lease={update.ref}:{update.old}" for update in updates]
    return words


@contextmanager
def deadline(seconds: int) -> Iterator[None]:
    """Raises RefusedError in what takes longer."""

    def late(_number: int, _frame: Any) -> None:
        raise RefusedError(f"the push took longer than {seconds} seconds")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
