"""Pushes that are made up from a seed: place, form, history and kind of ref of one text.

    python3 -m bot_bottle.attacks.generated [SECRETS] [CLEAN] [SEED]

tries so many with a secret, of which none may arrive, and so many without one, all of which have to, and prints the
figures. The exit code is 1 if any went the wrong way. To be fast, it calls the hook's function with the objects in the
mirror already, where git receive-pack would have put them; gitleaks, git and the push to the upstream are real. The
tests do the same with whole pushes.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
import unittest
from collections import Counter
from random import Random
from typing import NamedTuple

from git_gate import git, receive
from git_gate.limits import Limits
from git_gate.report import RefusedError

from .arena import FILE, FOLDER, LINK, Arena
from .git_gate import filler
from .planted import FORMS, KINDS, NAME_FORMS, SHORT, harmless, sentence

LANES = 3
PATHS = (
    b"a", b"src/main.py", b"deep/" * 20 + b"x", b"go.sum", b"logo.png", b"node_modules/x.js", b"package-lock.json", b".env",
    b"vendor/modules.txt", b"docs/\xc3\xa9t\xc3\xa9.md", b"with space/\xff\xfe",
)  # fmt: skip


class Generated(NamedTuple):
    """A push: what was drawn, and the words for `git push`."""

    drawn: tuple[str, ...]
    words: list[str]


def _file(arena: Arena, random: Random, text: bytes) -> tuple[tuple[str, ...], str]:
    form, path = random.choice(sorted(FORMS)), random.choice(PATHS)
    history = random.choice(("whole", "whole", "split", "removed", "merge", "changed"))
    around = random.random() < 0.15
    before, after = (filler(random.randrange(150_000)) if around else b"" for _ in range(2))
    if history == "split":
        form = random.choice(("plain", "crlf", "after-nul", "utf-16-le"))
    whole = FORMS[form](before + sentence(text) + after)
    commit = arena.base
    if history == "split":
        at = random.randrange(1, len(text))
        commit = arena.commit(arena.files({path: FORMS[form](before + text[:at])}), commit)
    elif history == "changed":
        commit = arena.commit(arena.files({path: b"first\n"}), commit)
    commit = arena.commit(arena.files({path: whole}), commit)
    if history == "removed":
        commit = arena.commit(arena.files({b"other": b"x"}), commit)
    elif history == "merge":
        side = arena.commit(arena.files({b"side": b"x"}), arena.base)
        commit = arena.commit(arena.files({b"merged": b"x"}), side, commit)
    return ("file", form, history, "long" if around else "short"), commit


def _name(arena: Arena, random: Random, text: bytes) -> tuple[tuple[str, ...], str]:
    form, kind = random.choice(NAME_FORMS), random.choice(("file", "folder", "empty folder", "link", "target"))
    name = FORMS[form](text.replace(b" ", b"-"))
    blob = arena.blob(b"x")
    match kind:
        case "file":
            entry = (FILE, name, blob)
        case "folder":
            entry = (FOLDER, name, arena.files({b"x": b"x"}))
        case "empty folder":
            entry = (FOLDER, name, arena.tree())
        case "link":
            entry = (LINK, name, blob)
        case _:
            entry = (LINK, b"link", arena.blob(name))
    tree = arena.tree(entry)
    for at in range(random.randrange(4)):
        tree = arena.tree((FOLDER, b"d%d" % at, tree), (FILE, b"x", blob))
    return ("name", form, kind), arena.commit(tree, arena.base)


def _commit(arena: Arena, random: Random, text: bytes) -> tuple[tuple[str, ...], str]:
    part = random.choice(("message", "author", "committer", "header", "base64"))
    tree = arena.files({b"a": b"%d" % random.randrange(1 << 30)})
    person = text + b" <a@example.org> 1700000000 +0000"
    match part:
        case "message":
            commit = arena.commit(tree, arena.base, message=sentence(text))
        case "author":
            commit = arena.commit(tree, arena.base, author=person)
        case "committer":
            commit = arena.commit(tree, arena.base, committer=person)
        case "header":
            commit = arena.commit(tree, arena.base, headers=b"note " + text + b"\n")
        case _:
            commit = arena.commit(tree, arena.base, message=FORMS["base64-wrapped"](sentence(text)))
    return ("commit", part), commit


def generate(arena: Arena, random: Random, *, secret: bool) -> Generated:
    """The next push with a secret, or with a harmless text in its place."""
    place = random.choice((_file, _file, _file, _name, _commit, None))
    kind = random.choice(sorted(KINDS if place is _file else SHORT))
    text = KINDS[kind](random)
    text = text if secret else harmless(text)
    unique = random.randrange(1 << 60)
    if place is None:
        message = random.random() < 0.5
        name = text.replace(b" ", b"-").rstrip(b".")
        tag = arena.tag(arena.base, message=sentence(text) if message else b"x\n", name=b"v1" if message else name)
        return Generated(("tag", "message" if message else "name", kind), [f"{tag}:refs/tags/t{unique}"])
    drawn, commit = place(arena, random, text)
    ref = random.choice(("new branch", "forced branch", "tag", "annotated tag", "tag of a tag", "several"))
    match ref:
        case "new branch":
            words = [f"{commit}:refs/heads/b{unique}"]
        case "forced branch":
            words = [f"+{commit}:refs/heads/forced"]
        case "tag":
            words = [f"{commit}:refs/tags/l{unique}"]
        case "annotated tag":
            words = [f"{arena.tag(commit)}:refs/tags/a{unique}"]
        case "tag of a tag":
            words = [f"{arena.tag(arena.tag(commit), 'tag')}:refs/tags/n{unique}"]
        case _:
            clean = arena.commit(arena.files({b"c": b"%d" % unique}), arena.base)
            words = [f"{clean}:refs/heads/c{unique}", f"{commit}:refs/heads/d{unique}"]
    return Generated((*drawn, kind, ref), words)


def outcome(arena: Arena, push: Generated, before: dict[str, str], *, secret: bool, whole: bool) -> str:
    """Tries a push at an upstream with these refs; empty if it went as it has to."""
    said = _pushed(arena, push) if whole else _received(arena, push)
    after = arena.refs()
    arrived = {word.lstrip("+").partition(":")[0] for word in push.words} <= set(after.values())
    if secret and (arrived or after != before):
        return f"a secret arrived: {push.drawn}: {said}"
    if secret and "gitleaks found a secret" not in said:
        return f"refused for another reason: {push.drawn}: {said}"
    if not secret and (said or not arrived):
        return f"a clean push was refused: {push.drawn}: {said}"
    return ""


def _pushed(arena: Arena, push: Generated) -> str:
    """What git says of a push that fails; empty if it does not."""
    done = arena.push(*push.words)
    return done.stdout if done.returncode != 0 else ""


def _received(arena: Arena, push: Generated) -> str:
    """The same, from the hook's function alone."""
    pairs = [word.lstrip("+").split(":") for word in push.words]
    mirrored = git.output(["for-each-ref", "--format=%(refname) %(objectname)"]).decode().splitlines()
    old = dict(line.split(" ") for line in mirrored)
    try:
        updates = [receive.Update(old.get(ref, ""), oid, ref) for oid, ref in pairs]
        receive.take(updates, Limits(), receive.prepared(Limits()), lambda _line: None)
    except RefusedError as refused:
        return str(refused)
    for oid, ref in pairs:
        arena.gate.git("update-ref", ref, oid, at=arena.mirror)
    return ""


def lane(secrets: int, clean: int, seed: int, whole: bool) -> tuple[Counter[str], list[str]]:
    """Tries pushes at a gate of its own, in a process of its own."""
    case = unittest.TestCase()
    try:
        random, arena = Random(seed), Arena(case)
        if not whole:
            arena.client = arena.mirror
            os.environ.update(arena.gate.environment)
            os.chdir(arena.mirror)
        drawn: Counter[str] = Counter()
        wrong: list[str] = []
        before = arena.refs()
        for secret in [True] * secrets + [False] * clean:
            push = generate(arena, random, secret=secret)
            drawn.update({f"{'secret' if secret else 'clean'}: {push.drawn[0]}": 1})
            said = outcome(arena, push, before, secret=secret, whole=whole)
            before = before if secret and not said else arena.refs()
            if said:
                wrong.append(said)
                print(said, file=sys.stderr, flush=True)
        return drawn, wrong
    finally:
        os.chdir("/")
        case.doCleanups()


def run(secrets: int, clean: int, seed: int, *, whole: bool) -> tuple[Counter[str], list[str]]:
    """Tries pushes in several lanes."""
    drawn: Counter[str] = Counter()
    wrong: list[str] = []
    shares = [[count // LANES + (at < count % LANES) for count in (secrets, clean)] for at in range(LANES)]
    with multiprocessing.get_context("spawn").Pool(LANES) as pool:
        for some, bad in pool.starmap(lane, [(*share, seed + at, whole) for at, share in enumerate(shares)]):
            drawn += some
            wrong += bad
    return drawn, wrong


def main(words: list[str]) -> int:
    """The command."""
    secrets, clean, seed = [*map(int, words), *(2_000, 500, 1)[len(words) :]]
    started = time.monotonic()
    drawn, wrong = run(secrets, clean, seed, whole=False)
    print(f"{secrets} pushes with a secret, {clean} clean ones, seed {seed}: {len(wrong)} went wrong")
    print(f"{time.monotonic() - started:.0f} s; drawn: {dict(sorted(drawn.items()))}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
