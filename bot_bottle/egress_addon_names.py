"""How servers read a host name and a path: the one normal form of a host, and the readings that a path can have."""

from __future__ import annotations

import functools
import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from itertools import product
from urllib.parse import unquote_to_bytes

Segments = tuple[str, ...]

MAX_NAME = 300
"""Characters of a host name or address, with a port; longer ones are invalid."""
MAX_PATH = 8 << 10
"""Bytes of a path. Its readings cost a multiple of them, and servers usually refuse more."""
MAX_DECODINGS = 4
"""A path that still changes after so many rounds of percent-decoding is refused."""

_PLAIN = re.compile(r"(?:/(?!\.)[A-Za-z0-9._~-]*)+")
"""A path that every server reads alike, letters of either case and trailing dots aside."""
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")


@dataclass(frozen=True)
class Reading:
    """The segments of a path as some server reads it.

    ``params``: the server drops what follows a semicolon. ``loose``: it takes letters of either case, compatible
    Unicode characters and names with trailing dots or spaces for the same. ``raw``: it keeps empty segments.
    """

    segments: Segments
    params: bool = False
    loose: bool = False
    raw: bool = False

    def follows(self, prefix: Segments) -> bool:
        """Whether the path lies below a route's prefix, read in the same way."""
        return self.segments[: len(prefix)] == _spelled_prefix(prefix, self.params, self.loose)


def normal_host(text: str) -> str | None:
    """A host name or address in its one normal form: lower case, no trailing dot, no brackets; None if invalid."""
    # The cache keeps what clients send, so it gets short texts only.
    return None if len(text) > MAX_NAME else _normal_host(text)


@functools.lru_cache(maxsize=1024)
def _normal_host(text: str) -> str | None:
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        pass
    else:
        return None if "%" in bare else str(address)
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > 253 or not name.isascii() or not all(_LABEL.fullmatch(label) for label in labels):
        return None
    # Resolvers read 127.1, 2130706433 and 0x7f.1 as addresses.
    return None if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]) else name


def split_authority(text: str) -> tuple[str, int | None] | None:
    """Splits ``host``, ``host:port`` or ``[v6]:port``; the host comes back normal. None if invalid."""
    return None if len(text) > MAX_NAME else _split_authority(text)


@functools.lru_cache(maxsize=1024)
def _split_authority(text: str) -> tuple[str, int | None] | None:
    match = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::([0-9]{1,5}))?", text)
    host = normal_host(match[1]) if match else None
    if match is None or host is None:
        return None
    return host, int(match[2]) if match[2] else None


def authority(host: str, port: int, scheme: str) -> str:
    """What a Host header says of a normal host and a port: the port only if the scheme does not imply it."""
    name = f"[{host}]" if ":" in host else host
    return name if port == {"http": 80, "https": 443}.get(scheme) else f"{name}:{port}"


def segments(target: str) -> Segments | None:
    """The decoded segments of a request target's path, empty ones left out.

    None where a path is too long, and where servers may disagree on what it is: dot segments in any encoding,
    backslashes, control characters, no leading slash.
    """
    path = target.split("?", 1)[0]
    if len(path) > MAX_PATH or not path.startswith("/") or "#" in path or _decodings(path) is None:
        return None
    return _segments(path)


def readings(target: str) -> set[Reading]:
    """Every reading of the path of a target for which ``segments`` has an answer."""
    path = target.split("?", 1)[0]
    found = {Reading(_segments(path))}
    decoded = _decodings(path) or []
    for text in {*decoded, *map(_compatible, decoded)}:
        # A server that decodes before it splits sees %2F as a slash, and the query begin at %3F.
        for whole in {text, re.split(r"[?#]", text, maxsplit=1)[0]}:
            parts = tuple(part for part in whole.split("/") if part)
            found.update(
                Reading(_spelled(parts, params, loose), params, loose) for params, loose in product((False, True), repeat=2)
            )
    if "//" in path:
        found.add(Reading(tuple(map(_decoded, path.split("/")[1:])), raw=True))
    return found


def _segments(path: str) -> Segments:
    return tuple(_decoded(part) for part in path.split("/") if part)


# Of routes alone: a cache of what clients send would keep it.
@functools.lru_cache(maxsize=1024)
def _spelled_prefix(prefix: Segments, params: bool, loose: bool) -> Segments:
    return _spelled(prefix, params, loose)


def _spelled(parts: Segments, params: bool, loose: bool) -> Segments:
    if params:
        parts = tuple(part.split(";", 1)[0] for part in parts)
    if loose:
        parts = tuple(_compatible(part).casefold().rstrip(". ") for part in parts)
    return tuple(filter(None, parts))


def _decodings(path: str) -> list[str] | None:
    """What each further round of percent-decoding makes of a path; None if one makes it ambiguous."""
    if _PLAIN.fullmatch(path):
        return [path]
    found: list[str] = []
    text = path
    for _ in range(MAX_DECODINGS):
        try:
            decoded = unquote_to_bytes(text).decode()
        except UnicodeError:
            return None
        if found and decoded == text:
            return found
        # Compatibility forms too: a server that normalises reads U+2024 as a dot and U+FF0F as a slash.
        if any(map(_climbs, {decoded, _compatible(decoded)})):
            return None
        found.append(decoded)
        text = decoded
    return None


def _climbs(path: str) -> bool:
    if re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\\]", path):
        return True
    return any(part.split(";", 1)[0].strip() in (".", "..") for part in path.split("/"))


def _compatible(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def _decoded(text: str) -> str:
    return unquote_to_bytes(text).decode(errors="replace")
