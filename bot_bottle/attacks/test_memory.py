"""What one client can make mitmdump keep in memory, and that the same fills an unguarded one."""

from __future__ import annotations

import socket
import sys
import unittest
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from . import client, egress
from .lanes import Lane
from .proxy import Mitmdump

SENT = 32 << 20
"""Bytes of a flood on one connection. Without the guard most of them stay; with it a connection keeps some 100 kB."""
LIMIT = 100 << 20
"""Bytes that all connections of a client may cost."""
PIECE = b"x" * (256 << 10)
PIECES = SENT // len(PIECE)

Flood = Callable[[Mitmdump], None]


def pour(stream: socket.socket, pieces: Iterator[bytes]) -> None:
    """Writes until the proxy closes or does not read for a while."""
    stream.settimeout(30)
    try:
        for piece in pieces:
            stream.sendall(piece)
        client.read(stream, 2)
    except OSError:
        pass


def repeated(piece: bytes = PIECE) -> Iterator[bytes]:
    """The flood."""
    return iter([piece] * PIECES)


def plain(head: bytes, piece: bytes = PIECE) -> Flood:
    """A flood behind some bytes, to the proxy's port."""

    def flood(proxy: Mitmdump) -> None:
        with client.connect(proxy.port) as stream:
            client.write(stream, head)
            pour(stream, repeated(piece))

    return flood


def secure(head: bytes, piece: bytes = PIECE) -> Flood:
    """The same in TLS in a tunnel."""

    def flood(proxy: Mitmdump) -> None:
        with client.tunnel(proxy.port, "api.test:443", "api.test") as stream:
            client.write(stream, head)
            pour(stream, repeated(piece))

    return flood


def websocket(proxy: Mitmdump) -> None:
    """One message without an end."""
    with client.tunnel(proxy.port, "ws.test:443", "ws.test") as stream:
        client.write(stream, egress.get(b"/chat", b"ws.test", *egress.WEBSOCKET))
        client.head(stream)
        client.write(stream, b"\x82\xff" + (1 << 40).to_bytes(8, "big") + b"\x00" * 4)
        pour(stream, repeated())


def messages(proxy: Mitmdump) -> None:
    """Many messages."""
    with client.tunnel(proxy.port, "ws.test:443", "ws.test") as stream:
        client.write(stream, egress.get(b"/chat", b"ws.test", *egress.WEBSOCKET))
        client.head(stream)
        pour(stream, repeated(b"\x82\xff" + len(PIECE).to_bytes(8, "big") + b"\x00" * 4 + PIECE))


def connections(proxy: Mitmdump) -> None:
    """More connections than one client may have, each with a head that is nearly too large."""
    head = b"GET http://open.test/ HTTP/1.1\r\nX: " + b"x" * (127 << 10)

    def one(_: int) -> socket.socket:
        stream = client.connect(proxy.port)
        client.write(stream, head)
        return stream

    with ExitStack() as stack, ThreadPoolExecutor(64) as pool:
        for stream in pool.map(one, range(400)):
            stack.enter_context(stream)
        client.read(stream, 1)


def stalled(proxy: Mitmdump) -> None:
    """A body for an origin that never finishes the handshake."""
    with client.tunnel(proxy.port, "silent.test:443", "silent.test") as stream:
        client.write(stream, egress.get(b"/x", b"silent.test", b"Content-Length: 400000000", method=b"POST"))
        pour(stream, repeated())


DENIED = egress.absolute(b"/x", b"Content-Length: 400000000", host=b"evil.test", method=b"POST")
DENIED_CHUNKS = egress.absolute(b"/x", b"Transfer-Encoding: chunked", host=b"evil.test", method=b"POST")
CHUNK = b"%x\r\n%s\r\n" % (len(PIECE), PIECE)
CHUNKED = egress.absolute(b"/x", b"Transfer-Encoding: chunked", method=b"POST")
FLOODS: dict[str, Flood] = {
    "body-to-a-denied-host": plain(DENIED),
    "chunks-to-a-denied-host": plain(DENIED_CHUNKS, CHUNK),
    "body-to-a-denied-path-in-tls": secure(egress.get(b"/x", b"evil.test", b"Content-Length: 400000000", method=b"POST")),
    "body-to-an-allowed-host": plain(egress.absolute(b"/x", b"Content-Length: 400000000", method=b"POST")),
    "head-without-an-end": plain(b"GET http://open.test/ HTTP/1.1\r\nX: "),
    "request-line-without-an-end": plain(b"GET http://open.test/"),
    "head-without-an-end-in-tls": secure(b"GET / HTTP/1.1\r\nX: "),
    "requests-behind-one-that-waits": plain(egress.absolute(b"/slow")),
    "trailers-without-an-end": plain(CHUNKED + b"0\r\nX: "),
    "websocket-message-without-an-end": websocket,
    "websocket-messages": messages,
    "body-for-an-origin-that-does-not-answer": stalled,
}
ROUTES = """
routes:
  - host: api.test
  - host: open.test
  - host: ws.test
    websocket: true
  - host: silent.test
"""


class Memory(unittest.TestCase):
    """The peak of mitmdump's memory during a flood, less what it had before."""

    def setUp(self) -> None:
        self.lanes = {guarded: Lane("regular", guarded=guarded) for guarded in (True, False)}
        for lane in self.lanes.values():
            self.addCleanup(lane.__exit__)

    def start(self, *, guarded: bool) -> Mitmdump:
        options = () if guarded else ("connection_strategy=lazy",)
        proxy = self.lanes[guarded].start(*options, routes=ROUTES)
        # The first tunnel loads what every one needs.
        egress.tls(egress.get(b"/x"))(proxy)
        return proxy

    def control(self, flood: Flood) -> int:
        """What a flood costs without the guard, in a new process: an old one uses again what it has freed."""
        proxy = self.start(guarded=False)
        try:
            return cost_of(proxy, flood)
        finally:
            proxy.close()

    def test_one_connection_costs_little(self) -> None:
        proxy = self.start(guarded=True)
        self.addCleanup(proxy.close)
        with ThreadPoolExecutor(1) as pool:
            for name, flood in FLOODS.items():
                without = pool.submit(self.control, flood)
                cost, control = cost_of(proxy, flood), without.result()
                print(f"egress memory {name}: {cost >> 20} MB, without the guard {control >> 20} MB", file=sys.stderr)
                with self.subTest(flood=name):
                    self.assertLess(cost, SENT // 3)
                    self.assertGreater(control, SENT // 3, "without the guard it costs nothing either: it shows nothing")

    def test_many_connections_cost_less_than_the_limit(self) -> None:
        proxy = self.start(guarded=True)
        self.addCleanup(proxy.close)
        cost = cost_of(proxy, connections)
        print(f"egress memory many-connections: {cost >> 20} MB", file=sys.stderr)
        self.assertLess(cost, LIMIT)


def cost_of(proxy: Mitmdump, flood: Flood) -> int:
    """Bytes that a flood costs at its peak."""
    before, _ = proxy.memory()
    flood(proxy)
    _, peak = proxy.memory()
    return peak - before
