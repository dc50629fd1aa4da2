"""The addon in the real mitmdump: when it starts, when it refuses to, and that it serves what it should."""

from __future__ import annotations

import signal
import time
import unittest
from collections.abc import Callable
from pathlib import Path

from . import client, egress
from .lanes import Lane
from .proxy import ROUTES, Mitmdump, NotListeningError

PATIENCE = 20.0

UNSAFE = (
    "http2=true", "rawtcp=true", "connection_strategy=eager", "onboarding=true", "validate_inbound_headers=false",
    "ssl_insecure=true", "ignore_hosts=.*", "allow_hosts=open", "tcp_hosts=.*", "map_remote=|a|b",
    "map_local=|a|/etc", "modify_headers=/~q/X/y", "modify_body=/~q/a/b", "stickycookie=.*", "stickyauth=.*",
    "anticache=true", "anticomp=true", "stream_large_bodies=1m", "save_stream_file=/dev/null", "flow_detail=2",
    "--mode=socks5@1", "--mode=reverse:http://evil.test@1", "--mode=upstream:http://evil.test@1",
    "block_list=|.*|200", "proxy_debug=true", "websocket=false", "http3=true",
    f"--scripts={Path(__file__).with_name('__init__.py')}", "server_replay=/dev/null", "client_replay=/dev/null",
    "rfile=/dev/null",
)  # fmt: skip
HARMLESS = ("http2=true", "rawtcp=true", "onboarding=true", "http3=true", "connection_strategy=eager")
"""What mitmproxy has by default: the addon sets the other value, so nothing is left to refuse."""


def until(holds: Callable[[], bool]) -> bool:
    """Whether something comes true within PATIENCE seconds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def ask(proxy: Mitmdump, host: bytes = b"open.test") -> bytes:
    """The status line that a request for a host gets."""
    with client.connect(proxy.port) as stream:
        client.write(stream, egress.absolute(b"/x", b"Connection: close", host=host))
        return client.read(stream, PATIENCE).split(b"\r\n")[0]


class Start(unittest.TestCase):
    def setUp(self) -> None:
        self.lane = Lane("regular", guarded=True)
        self.addCleanup(self.lane.__exit__)

    def start(self, *options: str, routes: str = ROUTES) -> Mitmdump:
        proxy = self.lane.start(*options, routes=routes)
        self.addCleanup(proxy.close)
        return proxy

    def test_an_unsafe_option_ends_the_start(self) -> None:
        for option in UNSAFE:
            name = option.partition("=")[0].removeprefix("--")
            with self.subTest(option=option):
                if option in HARMLESS:
                    proxy = self.start(option)
                    self.assertNotIn(b"Error", proxy.log())
                    continue
                with self.assertRaisesRegex(NotListeningError, f"(?s)cannot start: .*{name}"):
                    self.start(option)

    def test_unusable_routes_end_the_start(self) -> None:
        for routes in (
            "rootes: []",
            "routes: []\n#" + "x" * (1 << 20),
            "routes:\n  - host: a.test\n    methods:\n      - TRACE",
        ):
            with self.assertRaisesRegex(NotListeningError, "cannot start: .*routes.yaml"):
                self.start(routes=routes)

    def test_hup_takes_new_routes_and_keeps_the_last_good_ones(self) -> None:
        proxy = self.start()
        for text, status in (("routes: []", b"403"), ("routes:\n  - host: open.test", b"200"), ("routes: [", b"200")):
            before = len(proxy.log())
            proxy.routes.write_text(text)
            proxy.process.send_signal(signal.SIGHUP)
            self.assertTrue(until(lambda: b"routes" in proxy.log()[before:]))  # noqa: B023 - called at once
            self.assertIn(status, ask(proxy))
        self.assertIn(b"the last good ones stay", proxy.log())
        proxy.routes.unlink()
        proxy.process.send_signal(signal.SIGHUP)
        self.assertTrue(until(lambda: proxy.log().count(b"the last good ones stay") == 2))
        self.assertIn(b"200", ask(proxy))

    def test_a_route_without_its_token_is_denied_and_logged(self) -> None:
        proxy = self.start(routes="routes:\n  - host: open.test\n    token_over_http: true\n    token: EGRESS_TOKEN_7")
        self.assertIn(b"EGRESS_TOKEN_7 is not set", proxy.log())
        self.assertIn(b"403", ask(proxy))

    def test_without_its_script_mitmdump_ends(self) -> None:
        proxy = self.start()
        (proxy.routes.parent / "egress.py").unlink()
        self.assertTrue(until(lambda: proxy.process.poll() is not None))
        self.assertEqual(self.lane.origin.record.connections, 0)

    def test_term_ends_it_with_0(self) -> None:
        proxy = self.start()
        proxy.process.terminate()
        self.assertEqual(proxy.process.wait(PATIENCE), 0)


class Service(unittest.TestCase):
    """What a guard must not break, in both chains."""

    def each(self, do: Callable[[Lane], None]) -> None:
        for chain in ("regular", "upstream"):
            with self.subTest(chain=chain), Lane(chain, guarded=True) as lane:
                do(lane)

    def test_a_websocket_passes_where_the_route_has_one(self) -> None:
        def do(lane: Lane) -> None:
            extension = b"Sec-WebSocket-Extensions: permessage-deflate"
            with client.tunnel(lane.proxy().port, "ws.test:443", "ws.test") as stream:
                client.write(stream, egress.get(b"/chat", b"ws.test", *egress.WEBSOCKET, extension))
                self.assertIn(b"101 Switching Protocols", client.head(stream))
                client.write(stream, egress.FRAME)
                self.assertTrue(until(lambda: bool(lane.origin.record.raw.partition(egress.END)[2])))
            (seen,) = lane.origin.record.requests
            self.assertEqual((seen.values(b"upgrade"), seen.values(b"sec-websocket-extensions")), ([b"websocket"], []))

        self.each(do)

    def test_bodies_pass_with_100_continue_and_in_chunks(self) -> None:
        def do(lane: Lane) -> None:
            body = bytes(range(256)) * 4096
            chunked = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:3], body[3:500_000], body[500_000:]))
            for framing, sent in (
                (b"Content-Length: %d" % len(body), body),
                (b"Transfer-Encoding: chunked", chunked + b"0\r\n\r\n"),
            ):
                lane.origin.record.clear()
                with client.tunnel(lane.proxy().port, "api.test:443", "api.test") as stream:
                    client.write(stream, egress.get(b"/x", b"api.test", framing, b"Expect: 100-continue", method=b"POST"))
                    self.assertTrue(client.head(stream).startswith(b"HTTP/1.1 100 Continue"))
                    client.write(stream, sent)
                    self.assertIn(b"200 OK", client.head(stream))
                (seen,) = lane.origin.record.requests
                self.assertEqual((seen.body == body, seen.values(b"expect")), (True, []))

        self.each(do)

    def test_a_connection_serves_many_requests(self) -> None:
        def do(lane: Lane) -> None:
            with client.connect(lane.proxy().port) as stream:
                for at in range(20):
                    client.write(stream, egress.absolute(b"/%d" % at))
                    answer = b""
                    while not answer.endswith(b"ok"):
                        answer += stream.recv(65536)
                    self.assertIn(b"200 OK", answer)
            self.assertEqual(len(lane.origin.record.requests), 20)
            self.assertEqual(lane.origin.record.connections, 1)

        self.each(do)

    def test_a_denial_says_why_and_closes(self) -> None:
        def do(lane: Lane) -> None:
            with client.connect(lane.proxy().port) as stream:
                client.write(stream, egress.absolute(b"/x", b"Content-Length: 300000000", host=b"evil.test", method=b"POST"))
                self.assertIn(b"egress: host evil.test is not in the routes", client.read(stream, PATIENCE))
                self.assertTrue(until(lambda: not client.write(stream, b"x" * 65536)))

        self.each(do)
