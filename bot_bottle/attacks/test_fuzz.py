"""Random HTTP/1 and HTTP/2 requests through the real mitmdump: what arrives is what the core decided, and only that.

FUZZ is the number of requests (2,000), FUZZ_SEED the seed. The addon's decisions are written down in mitmdump itself,
so the comparison needs no second reading of what was sent.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time
import unittest
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from random import Random

from . import client, egress
from .lanes import Lane
from .origin import Seen
from .proxy import TOKENS, Mitmdump

COUNT = int(os.environ.get("FUZZ", "2000"))
SEED = int(os.environ.get("FUZZ_SEED", "16"))
BATCH = 2000
CLIENTS = 24
WAIT = 1.0
"""Seconds that a client waits for the answer to a request that may have no end; to others one always comes."""
WRITER = """
import json
from egress_addon import core
_decide = core.Routes.decide
_file = open(DECISIONS, "a", buffering=1)
def decide(self, request):
    decision = _decide(self, request)
    if decision.allowed:
        _file.write(json.dumps([request.method, request.target, decision.headers]) + "\\n")
    return decision
core.Routes.decide = decide
"""

HOSTS = [b"api.test", b"open.test", b"some.test", b"ws.test", b"evil.test", b"API.test.", b"api.test:443", b"192.0.2.7", b"api.test@evil.test", b"open.test:80", b"", b"api.test\x00", b"xn--a.test"]  # fmt: skip
METHODS = [
    b"GET",
    b"POST",
    b"PUT",
    b"HEAD",
    b"DELETE",
    b"OPTIONS",
    b"TRACE",
    b"CONNECT",
    b"PRI",
    b"get",
    b"G T",
    b"",
    b"PROPFIND",
]
ATOMS = [b"admin", b"Admin", b"pub", b"x", b"%2f", b"%2e", b"..", b".", b";a", b"%252e%252e", b"%00", b"//", b"\\", b"%5c", b"%EF%BC%8F", b"\xe2\x80\xa8", b"#", b"?a=b", b"?a b", b" ", b"%"]  # fmt: skip
NAMES = [b"Host", b"Content-Length", b"Transfer-Encoding", b"Connection", b"Authorization", b"authorization", b"Proxy-Authorization", b"Expect", b"Upgrade", b"TE", b"Trailer", b"Cookie", b"X", b"X_Y", b"X-HTTP-Method-Override", b"X-Original-URL", b"Transfer_Encoding", b"Keep-Alive", b"Sec-WebSocket-Version", b"Sec-WebSocket-Key", b"Accept", b"X y", b"", b"X\x00"]  # fmt: skip
VALUES = [b"0", b"5", b"40", b"5, 5", b"+5", b"chunked", b"gzip, chunked", b"identity", b"close", b"keep-alive", b"Upgrade", b"websocket", b"h2c", b"100-continue", b"13", b"a", b"\xff", b"\x00", b"1\r\nX-Hidden: 1", b"1\nX-Hidden: 1", b"1\rX", b"1\r\n folded", b"1\r\n\r\nGET /hidden HTTP/1.1\r\nHost: api.test\r\n\r\n", egress.SECRET, b"DELETE", b"/admin", b""]  # fmt: skip
NASTY = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\x00",
    b" ",
    b"\t",
    b":",
    b"\x0b",
    b"\x85",
    b"\xe2\x80\xa8",
    b"\r\n\r\n",
    b"0\r\n\r\n",
    b"HTTP/1.1",
]
BODIES = [b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"0\r\n\r\n", egress.HIDDEN, b"0\r\nAuthorization: " + egress.SECRET + b"\r\n\r\n", b"ffffffffffffffff\r\n", b"5;x=y\r\nhello\r\n0\r\nX: y\r\n\r\n", b"5\nhello\n0\n\n"]  # fmt: skip


class Requests:
    """A source of requests, most of them nearly right."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def some(self, usual: bytes, others: list[bytes], odds: float = 0.07) -> bytes:
        """Mostly the usual."""
        return self.random.choice(others) if self.random.random() < odds else usual

    def path(self) -> bytes:
        """A path."""
        if self.random.random() < 0.75:
            return self.random.choice([b"/x", b"/admin/x", b"/pub/y?q=1", b"/"])
        return b"/" + self.random.choice([b"", b"/"]).join(
            self.random.choice(ATOMS) for _ in range(self.random.randrange(1, 5))
        )

    def headers(self, odds: float = 0.35) -> list[client.Field]:
        """Headers besides Host."""
        found: list[client.Field] = []
        while self.random.random() < odds and len(found) < 6:
            found.append((self.some(b"X", NAMES, 0.6), self.some(b"a", VALUES, 0.6)))
        return found

    def request(self, host: bytes, *, absolute: bool) -> tuple[bytes, bool]:
        """The bytes of an HTTP/1 request with a body or something like it, and whether it surely has an end."""
        named = self.some(host, HOSTS)
        target = (b"http://" + self.some(named, HOSTS, 0.05) if absolute else b"") + self.path()
        body = self.some(b"", BODIES, 0.3)
        framing: list[client.Field] = []
        if body:
            right = (b"Content-Length", b"%d" % len(body))
            chunked = (b"Transfer-Encoding", b"chunked")
            framing = self.random.choice([[right], [right], [chunked], [chunked], [right, chunked], [], [right, right]])
        method = self.some(b"POST" if body else b"GET", METHODS)
        version = self.some(b"HTTP/1.1", [b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.1 x", b""], 0.05)
        fields = [(b"Host", named), *framing, *self.headers()]
        chunks = body.endswith(egress.END) and body[:1] in b"50"
        ends = (
            not body
            or framing == [(b"Content-Length", b"%d" % len(body))]
            or (chunks and framing == [(b"Transfer-Encoding", b"chunked")])
        )
        lines = [b" ".join([method, target, version]), *(name + b": " + value for name, value in fields)]
        head = b"\r\n".join(lines) + egress.END
        if self.random.random() < 0.05:
            at = self.random.randrange(len(head))
            head = head[:at] + self.random.choice(NASTY) + head[at + self.random.randrange(2) :]
            ends = False
        return head + body, ends and len(fields) == 1 + len(framing)


class Fuzzer:
    """Sends requests through one proxy."""

    def __init__(self, proxy: Mitmdump) -> None:
        self.proxy = proxy
        self.sent: Counter[str] = Counter()
        self._lock = threading.Lock()

    def connection(self, seed: int) -> None:
        """Some requests on one connection of one kind, until it is closed."""
        source = Requests(seed)
        kind = source.random.choices(["plain", "tunnel", "tls", "h2"], [6, 2, 2, 1])[0]
        with contextlib.suppress(OSError, ValueError):
            host = source.random.choice(
                [b"open.test", b"ws.test", *([b"some.test"] if kind == "plain" else [b"api.test"] * 2)]
            )
            name = host.decode()
            if kind == "h2":
                self._http2(source, host)
                return
            if kind == "tls":
                stream: socket.socket = client.tunnel(
                    self.proxy.port, f"{name}:443", source.some(host, [b"evil.test"], 0.05).decode()
                )
            else:
                stream = client.connect(self.proxy.port, f"{name}:80" if kind == "tunnel" else "")
            with stream:
                for _ in range(50):
                    self._count(kind)
                    data, ends = source.request(host, absolute=kind == "plain")
                    if not client.write(stream, data) or not _answered(stream, client.PATIENCE if ends else WAIT):
                        return

    def _http2(self, source: Requests, host: bytes) -> None:
        self._count("h2")
        attack = egress.H2(
            path=source.path(), method=source.some(b"POST", METHODS), headers=tuple(source.headers(0.7)),
            body=source.some(b"", BODIES, 0.5), trailers=tuple(source.headers(0.2)), host=source.some(host, HOSTS),
            scheme=source.some(b"https", [b"http", b"ftp"], 0.1),
            authority=f"{host.decode()}:443" if source.random.random() < 0.8 else "",
        )  # fmt: skip
        attack(self.proxy)

    def _count(self, kind: str) -> None:
        with self._lock:
            self.sent[kind] += 1


def _answered(stream: socket.socket, patience: float) -> bool:
    """Whether an answer comes; false if the connection ends."""
    stream.settimeout(patience)
    try:
        return bool(stream.recv(65536))
    except TimeoutError:
        return False


def decided(lines: str) -> Counter[tuple[bytes, bytes, tuple[client.Field, ...]]]:
    """The decisions that were written down."""
    found: Counter[tuple[bytes, bytes, tuple[client.Field, ...]]] = Counter()
    for method, target, headers in map(json.loads, lines.splitlines()):
        fields = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers)
        found[(method.encode("latin-1"), target.encode("latin-1"), fields)] += 1
    return found


def arrived(seen: Seen) -> tuple[bytes, bytes, tuple[client.Field, ...]]:
    """A request as the origin has it."""
    return seen.line.split(b" ")[0], seen.target, tuple(seen.headers)


class Fuzz(unittest.TestCase):
    def test_what_arrives_is_what_the_core_decided(self) -> None:
        for chain in ("regular", "upstream"):
            with self.subTest(chain=chain), Lane(chain, guarded=True) as lane:
                self.chain(lane, COUNT // 2)

    def chain(self, lane: Lane, count: int) -> None:
        proxy = lane.start(preamble=WRITER)
        self.addCleanup(proxy.close)
        fuzzer = Fuzzer(proxy)
        began = time.monotonic()
        seed = SEED
        total = 0
        with ThreadPoolExecutor(CLIENTS) as pool:
            while fuzzer.sent.total() < count:
                lane.origin.record.clear()
                goal = min(fuzzer.sent.total() + BATCH, count)
                while fuzzer.sent.total() < goal:
                    list(pool.map(fuzzer.connection, range(seed, seed + CLIENTS * 4)))
                    seed += CLIENTS * 4
                total += self.compare(lane, proxy)
        self.assertIsNone(proxy.process.poll())
        spent = time.monotonic() - began
        kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(fuzzer.sent.items()))
        print(
            f"egress fuzz {lane.chain}: {fuzzer.sent.total()} sent ({kinds}), {total} arrived, {spent:.0f} s",
            file=sys.stderr,
        )
        self.assertGreater(total, count // 10, "too few pass: the run shows little")

    def compare(self, lane: Lane, proxy: Mitmdump) -> int:
        """Every request that has arrived was decided on, with exactly these headers; returns how many."""
        with lane.origin.record.lock:
            requests = list(lane.origin.record.requests)
        allowed = decided(proxy.decisions.read_text())
        for seen in requests:
            key = arrived(seen)
            self.assertGreater(allowed[key], 0, f"seed {SEED}: arrived, and not decided: {seen}")
            allowed[key] -= 1
            tokens = {b"Bearer " + token.encode() for token in TOKENS.values()}
            self.assertLessEqual({*seen.values(b"authorization"), *seen.values(b"proxy-authorization")}, tokens)
        return len(requests)


if __name__ == "__main__":
    unittest.main()
