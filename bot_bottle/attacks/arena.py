"""Where pushes are tried: a client, the gate's mirror with its real hook and the real gitleaks, and an upstream.

GITLEAKS names the gitleaks to use; without it, the one that tests/live/tools/build makes.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import zlib
from collections.abc import Mapping
from pathlib import Path
from unittest import TestCase

from tests.gate import SCRIPTS, Gate

ROOT = SCRIPTS.parents[1]
GITLEAKS = Path(os.environ.get("GITLEAKS", str(ROOT / "target/live/gitleaks")))
PERSON = b"a <a@example.org> 1700000000 +0000"
FOLDER, FILE, LINK, COMMIT = b"40000", b"100644", b"120000", b"160000"
# Publishes without a scan: what an attack does to a gate that has no guard.
UNGUARDED = """#!/bin/sh
unset GIT_SSH_COMMAND GIT_SSH
while read -r old new ref; do
    case $new in *[!0]*) ;; *) new= ;; esac
    git push --quiet --no-verify --force "$(git config gitgate.upstream)" "$new:$ref" || exit 1
done
"""

Entry = tuple[bytes, bytes, str]
"""Mode, name and id of a tree's entry."""


class Arena:
    """One mirror with its upstream, and a client that writes git's objects itself."""

    def __init__(self, case: TestCase, *, guarded: bool = True, scripts: Path = SCRIPTS, **environment: str) -> None:
        self.gate = Gate(case, scripts)
        (self.gate.bin / "gitleaks").unlink()
        (self.gate.bin / "gitleaks").symlink_to(GITLEAKS)
        self.gate.environment.update(environment)
        self.upstream = self.gate.upstream("repo")
        self.daemon = self.gate.serve(repo=self.upstream)
        self.mirror = self.gate.root / "git" / "repo.git"
        self.client = self.gate.root / "client.git"
        self.gate.git("clone", "--quiet", "--bare", self.gate.url("repo"), str(self.client))
        if not guarded:
            (self.gate.hooks / "pre-receive").write_text(UNGUARDED)
            self.gate.git("config", "receive.fsckObjects", "false", at=self.mirror)
        self.base = self.gate.git("rev-parse", "refs/heads/trunk", at=self.client)

    def write(self, kind: str, data: bytes, at: Path | None = None) -> str:
        """Stores an object at the client and returns its id."""
        whole = f"{kind} {len(data)}\0".encode() + data
        oid = hashlib.sha1(whole, usedforsecurity=False).hexdigest()
        path = (at or self.client) / "objects" / oid[:2] / oid[2:]
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(zlib.compress(whole, 1))
        return oid

    def blob(self, data: bytes) -> str:
        """A file's content."""
        return self.write("blob", data)

    def tree(self, *entries: Entry) -> str:
        """A folder with entries, sorted as git wants them."""
        ordered = sorted(entries, key=lambda entry: entry[1] + (b"/" if entry[0] == FOLDER else b""))
        lines = [mode + b" " + name + b"\0" + bytes.fromhex(oid) for mode, name, oid in ordered]
        return self.write("tree", b"".join(lines))

    def files(self, content: Mapping[bytes, bytes]) -> str:
        """A folder with files; names may have slashes."""
        entries: list[Entry] = []
        below: dict[bytes, dict[bytes, bytes]] = {}
        for path, data in content.items():
            name, slash, rest = path.partition(b"/")
            if slash:
                below.setdefault(name, {})[rest] = data
            else:
                entries.append((FILE, name, self.blob(data)))
        entries += [(FOLDER, name, self.files(inner)) for name, inner in below.items()]
        return self.tree(*entries)

    def commit(
        self, tree: str, *parents: str, message: bytes = b"change\n", author: bytes = PERSON, committer: bytes = PERSON,
        headers: bytes = b"",
    ) -> str:  # fmt: skip
        """A commit."""
        lines = [b"tree " + tree.encode(), *(b"parent " + parent.encode() for parent in parents)]
        lines += [b"author " + author, b"committer " + committer]
        return self.write("commit", b"\n".join(lines) + b"\n" + headers + b"\n" + message)

    def tag(
        self, oid: str, kind: str = "commit", name: bytes = b"v1", message: bytes = b"x\n", tagger: bytes = PERSON
    ) -> str:
        """An annotated tag."""
        head = f"object {oid}\ntype {kind}\n".encode()
        return self.write("tag", head + b"tag " + name + b"\ntagger " + tagger + b"\n\n" + message)

    def push(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Pushes by way of git daemon."""
        return self.gate.try_git("push", "--force", self.gate.url("repo"), *words, at=self.client)

    def refs(self) -> dict[str, str]:
        """Refs of the upstream."""
        lines = self.gate.git("for-each-ref", "--format=%(refname) %(objectname)", at=self.upstream).splitlines()
        return dict(line.split(" ") for line in lines)

    def has(self, secret: bytes) -> bool:
        """Whether the upstream has an object with this text, as it is."""
        listing = subprocess.run(
            ["git", "cat-file", "--batch", "--batch-all-objects"], cwd=self.upstream, capture_output=True, check=True
        )
        return secret in listing.stdout
