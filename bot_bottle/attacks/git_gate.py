"""The attacks on what git-gate scans: where a push hides a secret, and in which form.

An attack makes objects at the client from a text and returns what to push. It is tried three times: with a secret,
which has to be refused; with a harmless text, which has to arrive; and with a secret at a gate that does not scan,
where it has to arrive, so that the attack is one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .arena import COMMIT, FILE, FOLDER, LINK, PERSON, Arena
from .planted import FORMS, sentence

CHUNK = 100_000
"""What gitleaks reads at once; it goes on for up to PEEK bytes until an empty line."""
PEEK = 25_000

Make = Callable[[Arena, bytes], list[str]]


@dataclass(frozen=True)
class Attack:
    """One attack. ``refusal`` is in what the client is told."""

    name: str
    make: Make
    kind: str = "pat"
    refusal: str = "gitleaks found a secret"
    harmless: bool = True
    """Whether a harmless text arrives; git refuses the form of some attacks whatever they hold."""


def filler(count: int) -> bytes:
    """Lines without a secret."""
    return (b"all work and no play makes a dull line of sixty characters\n" * (count // 59 + 1))[:count]


def branch(commit: str) -> list[str]:
    """A new branch."""
    return [f"{commit}:refs/heads/new-{commit}"]


def on_base(arena: Arena, content: dict[bytes, bytes]) -> list[str]:
    """A branch with one commit that has these files."""
    return branch(arena.commit(arena.files(content), arena.base))


def in_form(form: str) -> Make:
    """A file in one of the forms."""
    return lambda arena, text: on_base(arena, {b"notes/data": FORMS[form](sentence(text))})


def at_offset(offset: int, separator: bytes) -> Make:
    """A file with the secret at an offset; a separator is the character between the fillers and the secret."""

    def make(arena: Arena, text: bytes) -> list[str]:
        before = (filler(offset) if separator == b"\n" else b"x" * offset)[: offset - 1] + separator
        return on_base(arena, {b"long.txt": before + text + separator + filler(300_000)})

    return make


def named(path: bytes) -> Make:
    """A file whose path has the text in place of %s."""
    return lambda arena, text: on_base(arena, {path % text: b"x"})


def with_text(path: bytes, content: bytes, **others: bytes) -> Make:
    """A file with the text in place of %s, among others."""
    files = {name.replace("__", ".").encode(): data for name, data in others.items()}
    return lambda arena, text: on_base(arena, {**files, path: content % text})


def empty_folder(arena: Arena, text: bytes) -> list[str]:
    """The name of a folder with nothing in it."""
    return branch(arena.commit(arena.tree((FOLDER, text, arena.tree())), arena.base))


def nested_empty_folder(arena: Arena, text: bytes) -> list[str]:
    """The same, in folders that have no files either."""
    tree = arena.tree((FOLDER, text, arena.tree()))
    for name in (b"c", b"b", b"a"):
        tree = arena.tree((FOLDER, name, tree))
    return branch(arena.commit(tree, arena.base))


def submodule(arena: Arena, text: bytes) -> list[str]:
    """The name of a submodule."""
    modules = arena.blob(b'[submodule "x"]\n\tpath = x\n\turl = ssh://example.org/x\n')
    return branch(arena.commit(arena.tree((COMMIT, text, arena.base), (FILE, b".gitmodules", modules)), arena.base))


def link(arena: Arena, text: bytes) -> list[str]:
    """The target of a symbolic link."""
    return branch(arena.commit(arena.tree((LINK, b"link", arena.blob(text))), arena.base))


def deep(arena: Arena, text: bytes) -> list[str]:
    """A file under sixty folders."""
    return on_base(arena, {b"/".join(b"d%d" % at for at in range(60)) + b"/file": sentence(text)})


def in_commit(part: str) -> Make:
    """A part of a commit."""

    def make(arena: Arena, text: bytes) -> list[str]:
        person = b"%s <a@example.org> 1700000000 +0000" % text
        address = b"a <%s@example.org> 1700000000 +0000" % text
        tree = arena.files({b"a": b"a"})
        match part:
            case "message":
                commit = arena.commit(tree, arena.base, message=sentence(text))
            case "after-nul":
                commit = arena.commit(tree, arena.base, message=b"fine\n\x00" + sentence(text))
            case "author":
                commit = arena.commit(tree, arena.base, author=person)
            case "address":
                commit = arena.commit(tree, arena.base, author=address)
            case "committer":
                commit = arena.commit(tree, arena.base, committer=person)
            case "header":
                commit = arena.commit(tree, arena.base, headers=b"note %s\n" % text)
            case "encoding":
                message = sentence(text).decode().encode("utf-16-le")
                commit = arena.commit(tree, arena.base, headers=b"encoding UTF-16LE\n", message=message)
            case _:
                signature = b"gpgsig -----BEGIN PGP SIGNATURE-----\n \n %s\n -----END PGP SIGNATURE-----\n" % text
                commit = arena.commit(tree, arena.base, headers=signature)
        return branch(commit)

    return make


def in_tag(part: str) -> Make:
    """A part of an annotated tag."""

    def make(arena: Arena, text: bytes) -> list[str]:
        match part:
            case "message":
                tag = arena.tag(arena.base, message=sentence(text))
            case "tagger":
                tag = arena.tag(arena.base, tagger=b"%s <a@example.org> 1700000000 +0000" % text)
            case "name":
                tag = arena.tag(arena.base, name=text.replace(b" ", b"-"))
            case _:
                tag = arena.tag(arena.tag(arena.base, message=sentence(text)), "tag", b"outer")
        return [f"{tag}:refs/tags/{tag}"]

    return make


def in_ref(kind: str) -> Make:
    """The name of a branch or tag."""
    return lambda arena, text: [f"{arena.base}:refs/{kind}/{text.replace(b' ', b'-').rstrip(b'.').decode()}"]


def removed_later(arena: Arena, text: bytes) -> list[str]:
    """A file that the next commit removes."""
    first = arena.commit(arena.files({b"a": sentence(text)}), arena.base)
    return branch(arena.commit(arena.files({b"a": b"clean"}), first))


def over_two_commits(arena: Arena, text: bytes) -> list[str]:
    """A line whose second half a later commit adds."""
    half = len(text) // 2
    first = arena.commit(arena.files({b"a": text[:half]}), arena.base)
    return branch(arena.commit(arena.files({b"a": text}), first))


def line_by_line(arena: Arena, text: bytes) -> list[str]:
    """Lines that are added one by one, last one first."""
    lines = text.split(b"\n")
    commit = arena.base
    for at in range(len(lines) - 1, -1, -1):
        commit = arena.commit(arena.files({b"key": b"\n".join(lines[at:]) + b"\n"}), commit)
    return branch(commit)


def over_two_pushes(arena: Arena, text: bytes) -> list[str]:
    """The first half was pushed before."""
    half = len(text) // 2
    first = arena.commit(arena.files({b"a": text[:half]}), arena.base)
    done = arena.push(*branch(first))
    assert done.returncode == 0, done.stdout
    return branch(arena.commit(arena.files({b"a": text}), first))


def evil_merge(arena: Arena, text: bytes) -> list[str]:
    """A merge that adds what neither side has."""
    side = arena.commit(arena.files({b"side": b"side"}), arena.base)
    main = arena.commit(arena.files({b"main": b"main"}), arena.base)
    return branch(arena.commit(arena.files({b"evil": sentence(text)}), main, side))


def octopus(arena: Arena, text: bytes) -> list[str]:
    """The last of three parents has it."""
    sides = [arena.commit(arena.files({b"a": b"%d" % at}), arena.base) for at in range(2)]
    last = arena.commit(arena.files({b"a": sentence(text)}), arena.base)
    return branch(arena.commit(arena.files({b"a": b"merged"}), *sides, last))


def orphan(arena: Arena, text: bytes) -> list[str]:
    """A branch without a common past."""
    return branch(arena.commit(arena.files({b"a": sentence(text)})))


def among_clean_refs(arena: Arena, text: bytes) -> list[str]:
    """One ref of five."""
    clean = [arena.commit(arena.files({b"a": b"%d" % at}), arena.base) for at in range(4)]
    dirty = arena.commit(arena.files({b"a": sentence(text)}), arena.base)
    return [word for commit in (*clean, dirty) for word in branch(commit)]


def at_two_paths(arena: Arena, text: bytes) -> list[str]:
    """One folder at two paths, of which the second one has the name."""
    inner = arena.files({b"x": b"x"})
    return branch(arena.commit(arena.tree((FOLDER, b"a", inner), (FOLDER, text, inner)), arena.base))


def behind_a_tag(arena: Arena, text: bytes) -> list[str]:
    """A commit that only a tag reaches."""
    commit = arena.commit(arena.files({b"a": sentence(text)}), arena.base)
    return [f"{arena.tag(commit)}:refs/tags/t-{commit}"]


def purged(arena: Arena, text: bytes) -> list[str]:
    """A commit that the upstream had once, and that the mirror still has."""
    upstream = arena.upstream
    blob = arena.write("blob", sentence(text), at=upstream)
    tree = arena.write("tree", b"100644 a\0" + bytes.fromhex(blob), at=upstream)
    lines = [f"tree {tree}".encode(), f"parent {arena.base}".encode(), b"author " + PERSON, b"committer " + PERSON]
    commit = arena.write("commit", b"\n".join(lines) + b"\n\nleak\n", at=upstream)
    arena.gate.git("update-ref", "refs/heads/leak", commit, at=upstream)
    arena.gate.git("fetch", "--quiet", arena.gate.url("repo"), "leak", at=arena.client)
    arena.gate.git("update-ref", "-d", "refs/heads/leak", at=upstream)
    arena.gate.git("prune", "--expire=now", at=upstream)
    return branch(commit)


def beside_a_purged_one(arena: Arena, text: bytes) -> list[str]:
    """A child of a purged commit: the secret is in a file that the child leaves as it was."""
    (word,) = purged(arena, text)
    parent = word.partition(":")[0]
    return branch(arena.commit(arena.files({b"a": sentence(text), b"b": b"new"}), parent))


def long_key(arena: Arena, text: bytes) -> list[str]:
    """A private key whose end is beyond what gitleaks reads at once."""
    begin, _, rest = text.partition(b"\n")
    body = (rest.split(b"\n")[0] + b"\n") * 3_000
    return on_base(arena, {b"key": begin + b"\n" + body + rest})


def key_with_header(arena: Arena, text: bytes) -> list[str]:
    """A private key with a header line that gitleaks takes for a sign of harmlessness."""
    return on_base(arena, {b"key": text.replace(b"\n", b"\nComment: false\n\n", 1)})


def go_sum(line: bytes, path: bytes) -> Make:
    """A file of checksums."""
    return lambda arena, text: on_base(arena, {path: b"\n".join([b"# sums", line % text, b""])})


FILES = [Attack(f"a file: {form}", in_form(form)) for form in FORMS]
OFFSETS = [
    Attack(f"a file: at byte {offset} of {what}", at_offset(offset, separator))
    for offset in (CHUNK - 20, CHUNK, CHUNK + PEEK - 20, 2 * CHUNK - 8_200)
    for what, separator in (("lines", b"\n"), ("one line", b" "))
]
PLACES = [
    Attack("the name of a file", named(b"%s")),
    Attack("the name of a file in hex", lambda arena, text: on_base(arena, {b"x-" + text.hex().encode(): b"x"})),
    Attack("the name of a folder", named(b"%s/x")),
    Attack("the name of an empty folder", empty_folder),
    Attack("the name of an empty folder in empty folders", nested_empty_folder),
    Attack("the name of a folder that is there twice", at_two_paths),
    Attack("the name of a submodule", submodule),
    Attack("the target of a link", link),
    Attack("a file under sixty folders", deep),
    Attack("a file that attributes hide", with_text(b"a", b"%s\n", __gitattributes=b"* binary -diff -text filter=x\n")),
    Attack("a file with gitleaks:allow", with_text(b"a.py", b'key = "%s"  # gitleaks:allow\n')),
    Attack("beside a .gitleaksignore", with_text(b"a", b"%s\n", __gitleaksignore=b"a:github-pat:1\n:github-pat:1\n")),
    Attack("beside a .gitleaks.toml", with_text(b"a", b"%s\n", __gitleaks__toml=b'[allowlist]\nregexes = [".*"]\n')),
    Attack("a file called logo.png", with_text(b"logo.png", b"%s\n")),
    Attack("a file in node_modules", with_text(b"node_modules/x/y.js", b"%s\n")),
    Attack("a file called package-lock.json", with_text(b"package-lock.json", b'{"a": "%s"}\n')),
    Attack("a line of go.sum that is none", go_sum(b"golang.org/x/net %s h1:", b"go.sum")),
    Attack("a message", in_commit("message")),
    Attack("a message after a zero", in_commit("after-nul"), refusal="nulInCommit", harmless=False),
    Attack("a message in UTF-16", in_commit("encoding"), refusal="nulInCommit", harmless=False),
    Attack("the name of an author", in_commit("author")),
    Attack("the address of an author", in_commit("address")),
    Attack("the name of a committer", in_commit("committer")),
    Attack("a header of a commit", in_commit("header")),
    Attack("a signature of a commit", in_commit("signature")),
    Attack("the message of a tag", in_tag("message")),
    Attack("the message of a tag in a tag", in_tag("inner")),
    Attack("the tagger", in_tag("tagger")),
    Attack("the name in a tag", in_tag("name")),
    Attack("the name of a branch", in_ref("heads")),
    Attack("the name of a tag's ref", in_ref("tags")),
]
HISTORIES = [
    Attack("removed by the next commit", removed_later),
    Attack("split over two commits", over_two_commits),
    Attack("split over two pushes", over_two_pushes),
    Attack("a key added line by line", line_by_line, "pem"),
    Attack("a merge that adds it", evil_merge),
    Attack("the third parent of a merge", octopus),
    Attack("a branch without a past", orphan),
    Attack("one ref of five", among_clean_refs),
    Attack("a commit behind a tag", behind_a_tag),
    Attack("a commit that the upstream purged", purged),
    Attack("a child of a commit that the upstream purged", beside_a_purged_one),
    Attack("a key longer than a chunk", long_key, "pem"),
    Attack("a key with a header line", key_with_header, "pem"),
]
CHECKSUMS = [
    Attack("h1: before a password", with_text(b"a", b"service_password h1:%s\n"), "base64"),
    Attack("a checksum outside go.sum", go_sum(b"example.org/auth-token v1.0.0 h1:%s", b"notes"), "base64"),
    Attack("a go.sum line with more on it", go_sum(b"example.org/auth-token v1.0.0 h1:%s password", b"go.sum"), "base64"),
]
ALL = [*FILES, *OFFSETS, *PLACES, *HISTORIES, *CHECKSUMS]
