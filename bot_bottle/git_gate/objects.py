"""The objects that a push adds, read as git stores them, and the paths that its folders give them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from typing import IO, NamedTuple

from git_gate import git
from git_gate.limits import Limits
from git_gate.report import RefusedError

UNREADABLE = "the push could not be read, so gitleaks cannot scan it"
FORMAT = "%(objectname) %(objecttype) %(objectsize) %(rest)"


class Object(NamedTuple):
    """An object of the push; ``path`` is one of the paths that a file or folder has."""

    oid: str
    kind: str
    path: bytes
    data: bytes


class Place(NamedTuple):
    """Where an object is found: the path in a commit."""

    commit: str
    path: bytes
    oid: str


def revisions(tips: Sequence[str], published: Sequence[str] | None) -> tuple[list[str], bytes]:
    """Words and input of `git rev-list` for what the tips reach, and what is published does not.

    Published is what the mirror's refs reach, or, if ids are given, what they reach.
    """
    excluded = () if published is None else (f"^{oid}" for oid in published)
    words = ["--stdin", *(["--not", "--all"] if published is None else [])]
    return words, "".join(f"{revision}\n" for revision in (*tips, *excluded)).encode()


def new_objects(tips: Sequence[str], published: Sequence[str] | None, limits: Limits) -> Iterator[Object]:
    """Every object that a push publishes, see `revisions`. Raises RefusedError if one is too large.

    git streams them from one process to the next, so nothing is written and only one object is in memory.
    """
    words, input = revisions(tips, published)
    listing = subprocess.Popen(
        ["git", "rev-list", "--objects", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=git.environment(),
    )
    with listing:
        reading = subprocess.Popen(
            ["git", "cat-file", f"--batch={FORMAT}", "--buffer"],
            stdin=listing.stdout,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=git.environment(),
        )
        with reading:
            finished = False
            try:
                if listing.stdin is None or listing.stdout is None or reading.stdout is None:
                    raise RefusedError(UNREADABLE)
                listing.stdout.close()
                listing.stdin.write(input)
                listing.stdin.close()
                yield from _read(reading.stdout, limits)
                finished = True
            except BrokenPipeError as error:
                raise RefusedError(UNREADABLE) from error
            finally:
                if not finished:
                    reading.kill()
                    listing.kill()
    if listing.returncode != 0 or reading.returncode != 0:
        raise RefusedError(UNREADABLE)


def _read(stream: IO[bytes], limits: Limits) -> Iterator[Object]:
    while header := stream.readline():
        words = header[:-1].split(b" ", 3)
        if len(words) != 4 or not words[2].isdigit():
            raise RefusedError(UNREADABLE)
        size = int(words[2])
        if size > limits.object_bytes:
            where = words[3].decode("utf-8", "surrogateescape") or f"a {words[1].decode()}"
            raise RefusedError(f"{where} has {size} bytes, more than the {limits.object_bytes} that can be scanned")
        data = stream.read(size)
        if len(data) != size or stream.read(1) != b"\n":
            raise RefusedError(UNREADABLE)
        yield Object(words[0].decode(), words[1].decode(), words[3], data)


def entries(tree: bytes, width: int) -> Iterator[tuple[bytes, str, bool]]:
    """Name and id of each entry of a tree object, and whether it is a folder; ids have ``width`` bytes."""
    at = 0
    while at < len(tree):
        space, end = tree.find(b" ", at), tree.find(b"\0", at)
        if space < 0 or end < space or end + 1 + width > len(tree):
            raise RefusedError(UNREADABLE)
        yield tree[space + 1 : end], tree[end + 1 : end + 1 + width].hex(), tree[at:space].lstrip(b"0") == b"40000"
        at = end + 1 + width


class Folders:
    """The new commits and folders of a push."""

    def __init__(self) -> None:
        """Starts without any."""
        self.trees: dict[str, bytes] = {}
        self.commits: list[str] = []
        self._roots: dict[str, str] = {}

    def add(self, thing: Object) -> None:
        """Remembers a commit or a tree; commits come newest first."""
        if thing.kind == "tree":
            self.trees[thing.oid] = thing.data
        elif thing.kind == "commit":
            self.commits.append(thing.oid)
            if not thing.data.startswith(b"tree "):
                raise RefusedError(UNREADABLE)
            self._roots[thing.oid] = thing.data[len("tree ") :].split(b"\n", 1)[0].decode()

    def places(self) -> Iterator[Place]:
        """Each path that a new folder gives something, with the first commit that has it, once.

        Folders that the upstream has already are not entered.
        """
        seen: set[tuple[bytes, str]] = set()
        for commit in reversed(self.commits):
            waiting = [(b"", self._roots[commit])]
            while waiting:
                above, oid = waiting.pop()
                tree = self.trees.get(oid)
                if tree is None or (above, oid) in seen:
                    continue
                seen.add((above, oid))
                for name, child, is_folder in entries(tree, len(oid) // 2):
                    path = above + b"/" + name if above else name
                    yield Place(commit, path, child)
                    if is_folder:
                        waiting.append((path, child))
