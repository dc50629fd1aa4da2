"""The attacks on supervise: raw bytes to the server as it runs, each beside the same request without its poison.

An attack says what must be in the answer, and what must not be. The control is a request that differs in nothing but
what makes it an attack, and is served.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

ARGUMENTS = {"kind": "route", "title": "reach pypi.org", "detail": "to install a package"}


@dataclass(frozen=True)
class Attack:
    """Two requests, and the status that each has to get. A served proposal is a file in the queue."""

    name: str
    attack: bytes
    control: bytes
    status: int
    served: int = 200
    error: str = ""
    """What the JSON of the refusal holds, where HTTP has no status for it."""


def post(body: bytes, *headers: bytes, target: bytes = b"/mcp", host: bytes = b"supervise:9100") -> bytes:
    """A POST."""
    lines = [b"POST " + target + b" HTTP/1.1", b"Host: " + host, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def get(*headers: bytes, target: bytes = b"/health", version: bytes = b"HTTP/1.1") -> bytes:
    """A GET."""
    return b"\r\n".join([b"GET " + target + b" " + version, *headers]) + b"\r\n\r\n"


def propose(**changed: Any) -> bytes:
    """A proposal."""
    params = {"name": "propose", "arguments": {**ARGUMENTS, **changed}}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()


def from_page(name: str, *headers: bytes, host: bytes = b"supervise:9100") -> Attack:
    """A proposal that a page in a browser makes."""
    return Attack(name, post(propose(), *headers, host=host), post(propose()), 403)


def title(name: str, text: str) -> Attack:
    """A title that is shown otherwise than it reads."""
    return Attack(f"a title with {name}", post(propose(title=text)), post(propose(title="harmless")), 200, error="title")


def detail(name: str, text: str) -> Attack:
    """A detail that is shown otherwise than it reads."""
    control = post(propose(detail="one\n\ttwo\r\nthree \U0001f469\u200d\U0001f4bb"))
    return Attack(f"a detail with {name}", post(propose(detail=text)), control, 200, error="detail")


PING = b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}'
STREAM = b"Accept: text/event-stream"
ALL = [
    from_page("an Origin", b"Origin: http://evil.test"),
    from_page("the Origin null", b"Origin: null"),
    from_page("an empty Origin", b"Origin:"),
    from_page("two Origins", b"Origin: http://evil.test", b"Origin: http://supervise"),
    from_page("a name that leads here", host=b"evil.test:9100"),
    from_page("a name that begins like ours", host=b"supervise.evil.test"),
    from_page("a name that ends like an address", host=b"127.0.0.1.evil.test"),
    from_page("a name with our name as its user", host=b"supervise@evil.test"),
    from_page("a name with a path", host=b"supervise/evil.test"),
    from_page("a name with a port that is none", host=b"evil.test:supervise"),
    from_page("an empty name", host=b""),
    Attack("a stream for a name that leads here", get(b"Host: evil.test", STREAM, target=b"/mcp"),
           get(b"Host: localhost:9100", STREAM, target=b"/mcp"), 403),
    Attack("two Hosts", post(PING, b"Host: evil.test"), post(PING), 400),
    Attack("a body on GET", get(b"Content-Length: 4") + b"evil", get(b"Content-Length: 0"), 400),
    Attack("a request in the body of a GET", get(b"Content-Length: 999") + post(propose()), get(), 400),
    Attack("chunks on GET", get(b"Transfer-Encoding: chunked") + b"0\r\n\r\n", get(), 400),
    Attack("a GET with a length that is none", get(b"Content-Length: +1"), get(), 400),
    Attack("two lengths", post(PING, b"Content-Length: 1"), post(PING), 400),
    Attack("chunks beside a length", post(PING, b"Transfer-Encoding: chunked"), post(PING), 411),
    Attack("a length with a sign", post(b"").replace(b"Length: 0", b"Length: +0") + PING, post(PING), 400),
    Attack("a length below zero", post(b"").replace(b"Length: 0", b"Length: -1") + PING, post(PING), 400),
    Attack("a length in other digits", post(b"").replace(b"Length: 0", "Length: \u0661".encode()), post(PING), 400),
    Attack("a body that is too long", post(b"").replace(b"Length: 0", b"Length: 1048577"), post(PING), 413),
    Attack("a header without a colon", get(b"evil", b"Host: supervise"), get(b"Host: supervise"), 400),
    Attack("HTTP/0.9", b"GET /health\r\n", get(), 505),
    Attack("HTTP/2", get(version=b"HTTP/2.0"), get(), 505),
    Attack("a method that is not served", get().replace(b"GET", b"DELETE"), get(), 405),
    Attack("a method with an escape", get().replace(b"GET", b"\x1b[2JGET"), get(), 405),
    Attack("a request line that is none", b"GET / / HTTP/1.1\r\n\r\n", get(), 400),
    Attack("a target that is too long", get(target=b"/" * 70_000), get(), 414),
    Attack("too many headers", get(*[b"X-%d: x" % at for at in range(200)]), get(), 431),
    Attack("half a million brackets", post(b"[" * 500_000), post(PING), 400),
    Attack("a batch of 101", post(b"[" + b",".join([PING] * 101) + b"]"), post(b"[" + PING + b"]"), 400),
    title("a new line", "harmless\n2. also harmless"),
    title("a return", "harmless\rharmful"),
    title("an escape", "\x1b[2Jharmless"),
    title("a zero", "harmless\0"),
    title("a delete", "harm\x7fless"),
    title("a C1 control", "\x9b2Jharmless"),
    title("a next line", "harmless\u0085harmful"),
    title("a line separator", "harmless\u2028harmful"),
    title("a paragraph separator", "harmless\u2029harmful"),
    title("a reversal", "\u202egro.ipyp hcaer"),
    title("an isolate", "\u2067gro.ipyp\u2069"),
    title("an Arabic mark", "\u061c pypi.org"),
    title("a character of no width", "py\u200bpi.org"),
    title("a soft hyphen", "py\u00adpi.org"),
    title("a tag character", "pypi.org\U000e0041"),
    title("a letter that is not drawn", "py\u3164pi.org"),
    title("a mark that is not drawn", "pypi\u034f.org"),
    title("a symbol that is not drawn", "py\u2800pi.org"),
    title("a variation that is not drawn", "pypi.org\U000e0101"),
    title("a character that fonts choose", "pypi.org\ue000"),
    title("marks over other lines", "pypi.org" + "\u0336\u0332" * 20),
    title("half a character", "pypi.org \ud800"),
    detail("an escape", "\x1b]0;evil\x07"),
    detail("a reversal", "\u202egro.ipyp"),
    detail("half a character", "\udfff"),
]  # fmt: skip
