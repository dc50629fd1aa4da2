"""The headers of a request: what is refused, and exactly what leaves in place of what the client sent.

Names and values are text in Latin-1, one character for each byte.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass

Headers = tuple[tuple[str, str], ...]

MAX_FIELDS = 128
MAX_BYTES = 64 << 10
"""Of a target and all names and values together."""
MAX_CACHED = 64
"""Characters of a header's name that is looked up often."""
CREDENTIAL_HEADERS = frozenset({"authorization", "proxy-authorization"})
"""Headers of the agent that never leave, whatever the route; in lower case."""
TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")

_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_LENGTH = re.compile(r"0|[1-9][0-9]{0,17}")
_VERSIONS = ("HTTP/1.0", "HTTP/1.1")
_HOP_BY_HOP = frozenset({
    "connection", "http2-settings", "keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer", "upgrade",
})  # fmt: skip
_FRAMING = frozenset({"content-length", "expect", "host", "transfer-encoding"})
_PROTOCOL = _HOP_BY_HOP | _FRAMING
_OTHER_PATH = frozenset({"x-original-url", "x-rewrite-url", "x-forwarded-host"})
"""Frameworks take path or host from these in place of the request line and of Host."""
_OTHER_METHOD = frozenset({"x-http-method", "x-http-method-override", "x-method-override"})

UNROUTABLE = _HOP_BY_HOP | _FRAMING | _OTHER_PATH | _OTHER_METHOD | {"content-type"}
"""Headers that cannot carry a token."""


class RefusedError(ValueError):
    """Headers that must not leave; the message says why."""


@dataclass(frozen=True)
class Message:
    """A request's headers, understood: what its end depends on, and what it asks for besides its target.

    ``methods``: those that override the one of the request line. ``upgrade``: whether it asks for a WebSocket.
    """

    kept: Headers
    framing: Headers
    connection: str
    methods: tuple[str, ...]
    upgrade: bool
    continues: bool

    def leaving(self, host: str, strip: frozenset[str], inject: tuple[str, str] | None) -> Headers:
        """The headers that leave, with HOST as their Host, in this order and no others."""
        kept = ((name, value) for name, value in self.kept if _plain(name) not in strip)
        connection: Headers = (("Connection", self.connection),) if self.connection else ()
        upgrade: Headers = (("Upgrade", "websocket"),) if self.upgrade else ()
        return ("Host", host), *kept, *self.framing, *connection, *upgrade, *(() if inject is None else (inject,))


def understand(headers: Headers, trailers: Headers, version: str, target: str) -> Message:
    """Checks headers and splits them up. Raises RefusedError for what two readers could understand differently."""
    if version not in _VERSIONS:
        raise RefusedError("the version is not HTTP/1.0 or HTTP/1.1")
    if trailers:
        raise RefusedError("the request has trailers")
    _check(headers, target)
    found = _Fields(headers)
    named = found.tokens("connection")
    upgrade = _websocket(found, named)
    dropped = _PROTOCOL | {_plain(name) for name in named}
    if upgrade:
        # mitmproxy would unpack compressed messages of any size in memory.
        dropped |= {"sec-websocket-extensions"}
    expect = found.single("expect")
    if expect is not None and expect.lower() != "100-continue":
        raise RefusedError("Expect is not 100-continue")
    wanted = "close" if "close" in named else "keep-alive" if "keep-alive" in named else ""
    return Message(
        kept=tuple((name, value) for name, value in headers if _plain(name) not in dropped),
        framing=_framing(found, version),
        connection="Upgrade" if upgrade else wanted,
        methods=tuple(value for name, value in headers if _plain(name) in _OTHER_METHOD),
        upgrade=upgrade,
        continues=expect is not None,
    )


class _Fields:
    def __init__(self, headers: Headers) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in headers:
            self._values.setdefault(name.lower(), []).append(value)

    def single(self, name: str) -> str | None:
        """The one value of a header that must not be given twice."""
        values = self._values.get(name, [])
        if len(values) > 1:
            raise RefusedError(f"{name} is given {len(values)} times")
        return values[0] if values else None

    def tokens(self, name: str) -> set[str]:
        """The members of a header that is a list, in lower case."""
        return {token.strip().lower() for value in self._values.get(name, []) for token in value.split(",")} - {""}


def _plain(name: str) -> str:
    """A name as servers see it that turn headers into variables, where a dash is an underscore."""
    # The cache keeps what clients send, so it gets short names only.
    return _cached(name) if len(name) <= MAX_CACHED else _replaced(name)


@functools.lru_cache(maxsize=1024)
def _cached(name: str) -> str:
    return _replaced(name)


def _replaced(name: str) -> str:
    return name.lower().replace("_", "-")


def _check(headers: Headers, target: str) -> None:
    if len(headers) > MAX_FIELDS:
        raise RefusedError(f"more than {MAX_FIELDS} headers")
    if len(target) + sum(len(name) + len(value) for name, value in headers) > MAX_BYTES:
        raise RefusedError(f"target and headers are larger than {MAX_BYTES} bytes")
    for name, value in headers:
        if not TOKEN.fullmatch(name):
            raise RefusedError("the name of a header is not valid")
        if not _VALUE.fullmatch(value):
            raise RefusedError(f"the value of {name} has control characters")
        plain = _plain(name)
        if plain in _OTHER_PATH:
            raise RefusedError(f"{name} could change the destination")
        if plain in _PROTOCOL and plain != name.lower():
            raise RefusedError(f"some servers read {name} as {plain}")


def _framing(found: _Fields, version: str) -> Headers:
    coding, length = found.single("transfer-encoding"), found.single("content-length")
    if coding is not None:
        if coding.lower() != "chunked" or length is not None or version != "HTTP/1.1":
            raise RefusedError("the end of the body is ambiguous: Transfer-Encoding has to be chunked, alone, in HTTP/1.1")
        return (("Transfer-Encoding", "chunked"),)
    if length is not None:
        if not _LENGTH.fullmatch(length):
            raise RefusedError("Content-Length is not a whole number")
        return (("Content-Length", length),)
    return ()


def _websocket(found: _Fields, named: Iterable[str]) -> bool:
    """Whether a WebSocket is asked for. The offer of another protocol that may be ignored is dropped, others refused."""
    wanted = found.tokens("upgrade") - {"h2c"}
    if not wanted:
        return False
    if wanted != {"websocket"} or "upgrade" not in named:
        raise RefusedError("an upgrade to anything but a WebSocket is refused")
    if found.single("sec-websocket-version") != "13" or found.single("sec-websocket-key") is None:
        raise RefusedError("the WebSocket's handshake is not valid")
    return True
