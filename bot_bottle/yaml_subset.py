"""The part of YAML that routes.yaml is written in; anything else is an error that names its line.

Block mappings and block sequences of scalars, to any mix and a bounded depth; plain, single-quoted and
double-quoted scalars on one line; comments; a leading ``---``; ``[]`` for the empty sequence. No anchors, tags,
flow collections, block scalars or merge keys, and no key twice. What is accepted means the same in YAML 1.2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_DEPTH = 16

_KEY = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.-]*)[ ]*:(?=[ ]|$)")
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_OTHER_NUMBER = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+\.?[0-9]*)([eE][-+]?[0-9]+)?|0[xX][0-9A-Fa-f]+|0o[0-7]+|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_INDICATORS = frozenset("-?:,[]{}#&*!|>'\"%@`")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "n": "\n", "t": "\t", "0": "\0"}
_HEX_ESCAPES = {"x": 2, "u": 4}
_WORDS: dict[str, bool | None] = {
    "true": True, "True": True, "TRUE": True,
    "false": False, "False": False, "FALSE": False,
    "null": None, "Null": None, "NULL": None, "~": None,
}  # fmt: skip


class YamlError(ValueError):
    """Text outside the subset, with its 1-based line."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line


@dataclass(frozen=True)
class Scalar:
    """A string, a whole number, a truth value or null."""

    line: int
    value: str | int | bool | None


@dataclass(frozen=True)
class Sequence:
    """A block sequence."""

    line: int
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Mapping:
    """A block mapping, in the order of the text."""

    line: int
    entries: dict[str, Node]


Node = Scalar | Sequence | Mapping


def parse(text: str) -> Node:
    """Reads one document; an empty one is null. Raises YamlError."""
    lines = list(_lines(text))
    if lines and lines[0].indent == 0 and _without_comment(lines[0].text) == "---":
        del lines[0]
    if not lines:
        return Scalar(1, None)
    parser = _Parser(lines)
    node = parser.block(lines[0].indent, 1)
    rest = parser.peek()
    if rest is not None:
        raise YamlError(rest.number, "the indentation fits nothing above it")
    return node


@dataclass(frozen=True)
class _Line:
    number: int
    indent: int
    text: str


def _lines(text: str) -> list[_Line]:
    lines = []
    for number, ended in enumerate(text.split("\n"), 1):
        raw = ended.removesuffix("\r")
        control = next((c for c in raw if (c < " " and c != "\t") or "\x7f" <= c <= "\x9f" or c == "\ufeff"), None)
        if control is not None:
            raise YamlError(number, f"control character U+{ord(control):04X}")
        content = raw.lstrip(" ").rstrip(" \t")
        if not content or content.startswith("#"):
            continue
        if content.startswith("\t"):
            raise YamlError(number, "a tab in the indentation")
        lines.append(_Line(number, len(raw) - len(raw.lstrip(" ")), content))
    return lines


class _Parser:
    def __init__(self, lines: list[_Line]) -> None:
        self._lines = lines
        self._next = 0

    def peek(self) -> _Line | None:
        return self._lines[self._next] if self._next < len(self._lines) else None

    def block(self, indent: int, depth: int) -> Node:
        line = self._lines[self._next]
        if depth > MAX_DEPTH:
            raise YamlError(line.number, f"nested deeper than {MAX_DEPTH} levels")
        if _is_item(line):
            return self._sequence(indent, depth)
        return self._mapping(indent, depth)

    def _sequence(self, indent: int, depth: int) -> Sequence:
        start = self._lines[self._next].number
        items: list[Node] = []
        while (line := self.peek()) is not None and line.indent == indent and _is_item(line):
            rest = line.text[1:].lstrip(" ")
            if not _without_comment(rest):
                self._next += 1
                items.append(self._nested(line, indent, depth))
            elif _is_item(_Line(line.number, 0, rest)) or _split_key(line.number, rest) is not None:
                # The rest of the line opens a block of its own, indented by where it stands.
                self._lines[self._next] = _Line(line.number, indent + len(line.text) - len(rest), rest)
                items.append(self.block(self._lines[self._next].indent, depth + 1))
            else:
                self._next += 1
                items.append(_value(line.number, rest))
            self._refuse_deeper(indent)
        return Sequence(start, tuple(items))

    def _mapping(self, indent: int, depth: int) -> Mapping:
        start = self._lines[self._next].number
        entries: dict[str, Node] = {}
        while (line := self.peek()) is not None and line.indent == indent and not _is_item(line):
            found = _split_key(line.number, line.text)
            if found is None:
                raise YamlError(line.number, "expected `key: value` or `- item`")
            key, rest = found
            if key in entries:
                raise YamlError(line.number, f"key {key!r} stands twice")
            self._next += 1
            if _without_comment(rest):
                entries[key] = _value(line.number, rest)
            else:
                entries[key] = self._nested(line, indent, depth, items_may_align=True)
            self._refuse_deeper(indent)
        return Mapping(start, entries)

    def _nested(self, above: _Line, indent: int, depth: int, items_may_align: bool = False) -> Node:
        line = self.peek()
        if line is not None and (line.indent > indent or (items_may_align and line.indent == indent and _is_item(line))):
            return self.block(line.indent, depth + 1)
        return Scalar(above.number, None)

    def _refuse_deeper(self, indent: int) -> None:
        line = self.peek()
        if line is not None and line.indent > indent:
            raise YamlError(line.number, "the indentation fits nothing above it")


def _is_item(line: _Line) -> bool:
    return line.text == "-" or line.text.startswith("- ")


def _split_key(number: int, text: str) -> tuple[str, str] | None:
    """Splits ``key: rest``; None where the text does not begin with a key."""
    if text[0] in "'\"":
        key, rest = _quoted(number, text)
        rest = rest.lstrip(" ")
        if not (rest == ":" or rest.startswith(": ")):
            return None
        return key, rest[1:].strip(" ")
    match = _KEY.match(text)
    return (match[1], text[match.end() :].strip(" ")) if match else None


def _without_comment(text: str) -> str:
    """The text before a comment, for text that does not begin with a quoted scalar."""
    if text.startswith("#"):
        return ""
    return re.split(r"[ \t]#", text, maxsplit=1)[0].rstrip(" \t")


def _value(number: int, text: str) -> Node:
    if text[0] in "'\"":
        value, rest = _quoted(number, text)
        if rest and (rest[0] not in " \t" or _without_comment(rest.lstrip(" \t"))):
            raise YamlError(number, "text after the closing quote")
        return Scalar(number, value)
    plain = _without_comment(text)
    if plain == "[]":
        return Sequence(number, ())
    if plain[0] in _INDICATORS and not _INTEGER.fullmatch(plain):
        raise YamlError(number, f"a plain scalar cannot begin with {plain[0]!r} here: quote it")
    if re.search(r":([ \t]|$)", plain):
        raise YamlError(number, "a plain scalar cannot hold `: `: quote it")
    if plain in _WORDS:
        return Scalar(number, _WORDS[plain])
    if _INTEGER.fullmatch(plain):
        return Scalar(number, int(plain))
    if _OTHER_NUMBER.fullmatch(plain):
        raise YamlError(number, f"{plain} is a number of another kind: quote it if it is text")
    return Scalar(number, plain)


def _quoted(number: int, text: str) -> tuple[str, str]:
    """Reads a quoted scalar at the start; returns it and what follows."""
    quote = text[0]
    out: list[str] = []
    at = 1
    while at < len(text):
        char = text[at]
        at += 1
        if char == quote == "'" and text[at : at + 1] == "'":
            out.append("'")
            at += 1
        elif char == quote:
            return "".join(out), text[at:]
        elif char == "\\" and quote == '"':
            char, at = _escape(number, text, at)
            out.append(char)
        else:
            out.append(char)
    raise YamlError(number, f"no closing {quote} on the line")


def _escape(number: int, text: str, at: int) -> tuple[str, int]:
    name = text[at : at + 1]
    if name in _ESCAPES:
        return _ESCAPES[name], at + 1
    digits = text[at + 1 : at + 1 + _HEX_ESCAPES.get(name, 0)]
    if name not in _HEX_ESCAPES or not re.fullmatch(rf"[0-9A-Fa-f]{{{_HEX_ESCAPES[name]}}}", digits):
        raise YamlError(number, f"unknown escape \\{name}")
    code = int(digits, 16)
    if 0xD800 <= code <= 0xDFFF:
        raise YamlError(number, f"\\{name}{digits} is no character")
    return chr(code), at + 1 + len(digits)
