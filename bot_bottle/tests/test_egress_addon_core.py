"""egress_addon_core: what passes, with which headers, and what routes.yaml may say."""

import gc
import re
import tracemalloc
import unittest
from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import Any
from urllib.parse import quote

import egress_addon_core as core
from egress_addon_core import Request

ROUTES = """
routes:
  - host: API.example.com.
    paths:
      - /v1
      - /v2/%72epos/
    methods:
      - GET
      - POST
    token: EGRESS_TOKEN_0
  - host: api.example.com
    paths:
      - /v1/public
  - host: "*.example.com"
    token: EGRESS_TOKEN_1
    header: X-Api-Key
    token_over_http: true
  - host: "*.eu.example.com"
  - host: lacking.test
    token: EGRESS_TOKEN_9
  - host: odd.test
    ports:
      - 8443
    token: EGRESS_TOKEN_0
    scheme: token
  - host: 192.0.2.7
  - host: "2001:DB8::1"
"""
ENVIRONMENT = {"EGRESS_TOKEN_0": "zero", "EGRESS_TOKEN_1": "one", "OTHER": "x"}


def request(url: str, method: str = "GET", claims: tuple[str, ...] = ()) -> Request:
    scheme, rest = url.split("://", 1)
    authority, slash, path = rest.partition("/")
    host, port = authority, 443 if scheme == "https" else 80
    if authority.rpartition(":")[2].isdigit() and not authority.endswith("]"):
        host, port = authority.rpartition(":")[0], int(authority.rpartition(":")[2])
    return Request(method, scheme, host, port, slash + path, claims)


class Decisions(unittest.TestCase):
    def setUp(self) -> None:
        self.routes = core.load(ROUTES, ENVIRONMENT)

    def allowed(self, url: str, inject: tuple[str, str] | None, method: str = "GET", claims: tuple[str, ...] = ()) -> None:
        with self.subTest(url=url, method=method, claims=claims):
            decision = self.routes.decide(request(url, method, claims))
            self.assertEqual((decision.allowed, decision.reason, decision.inject), (True, "", inject))
            self.assertEqual(decision.headers[1:], () if inject is None else (inject,))

    def denied(self, url: str, reason: str, method: str = "GET", claims: tuple[str, ...] = ()) -> None:
        with self.subTest(url=url, method=method, claims=claims):
            decision = self.routes.decide(request(url, method, claims))
            self.assertFalse(decision.allowed)
            self.assertIn(reason, decision.reason)
            self.assertIsNone(decision.inject)

    def test_hosts(self) -> None:
        zero, one = ("Authorization", "Bearer zero"), ("X-Api-Key", "one")
        for host in ("api.example.com", "API.Example.COM", "api.example.com."):
            self.allowed(f"https://{host}/v1/x", zero)
        self.allowed("https://a.example.com/", one)
        self.allowed("https://a.b.example.com/", one)
        self.allowed("https://a.eu.example.com/", None)
        self.allowed("https://192.0.2.7/", None)
        self.allowed("https://[2001:db8:0::1]/", None)
        for host in (
            "example.com", "evil.test", "api.example.com.evil.test", "evilexample.com", "api.example.com..", "", ".",
            "api.example.com/", "a@api.example.com", "192.0.2.8", "[2001:db8::2]", "[2001:db8::1%25eth0]", "xn--.test",
            "3221226247", "0xC0000207", "192.0.519", "api_.exam ple.com", "\u0430pi.example.com", "-a.example.com",
            "a" * 64 + ".example.com", "a." * 126 + "example.com",
        ):  # fmt: skip
            with self.subTest(host=host):
                self.assertFalse(self.routes.decide(Request("GET", "https", host, 443, "/")).allowed)
                self.assertFalse(self.routes.decide_connect(host, 443).allowed)

    def test_every_name_of_the_destination_agrees(self) -> None:
        zero = ("Authorization", "Bearer zero")
        self.allowed("https://api.example.com/v1", zero, claims=("API.example.com:443", "api.example.com."))
        for claim in ("evil.test", "a.example.com", "api.example.com:80", "api.example.com:", "api.example.com@x", "x y"):
            self.denied("https://api.example.com/v1", "besides", claims=("api.example.com", claim))
        self.denied("http://192.0.2.7/", "besides", claims=("api.example.com",))
        self.allowed("https://[2001:db8::1]/", None, claims=("[2001:db8::1]:443",))

    def test_ports(self) -> None:
        self.allowed("https://odd.test:8443/", ("Authorization", "token zero"))
        self.denied("https://odd.test/", "port 443")
        self.denied("https://api.example.com:22/v1", "port 22")
        self.assertFalse(self.routes.decide_connect("api.example.com", 22).allowed)
        self.assertTrue(self.routes.decide_connect("odd.test", 8443).allowed)

    def test_paths_are_prefixes_by_whole_segments(self) -> None:
        zero = ("Authorization", "Bearer zero")
        for path in (
            "/v1", "/v1/", "/v1?q=/../x", "/v1/a%20b", "/%761/x", "//v1/x", "/v1//x", "/v2/repos", "/v1/a...b",
            "/v1/compare/a..b", "/v1/group%2Fproject", "/v1/%E2%82%AC",
        ):  # fmt: skip
            self.allowed(f"https://api.example.com{path}", zero)
        self.allowed("https://api.example.com/v1/public/x", None)
        for path in ("/", "", "/v10", "/V1", "/v1%2Fx", "/x/v1", "/v2", "/v1public", "/?/v1"):
            self.denied(f"https://api.example.com{path}", "path")

    def test_climbing_paths_are_denied_everywhere(self) -> None:
        for path in (
            "/v1/../admin", "/v1/..", "/v1/./x", "/v1/%2e%2e/admin", "/v1/.%2E/admin", "/v1/%252e%252e/admin",
            "/v1/%25252e%25252e/x", "/v1/..%2Fadmin", "/v1/..%5Cadmin", "/v1\\..\\admin", "/v1/..;/admin", "/v1/%00",
            "/v1/%0d%0aHost:%20x", "/v1/\x7f", "/v1/%FF", "/v1/.. /x", "/v1/x#/y", "/v1/%2525252525252e",
        ):  # fmt: skip
            self.denied(f"https://api.example.com{path}", "two ways")
        self.denied("https://a.eu.example.com/x/../y", "two ways")
        self.assertFalse(self.routes.decide(Request("OPTIONS", "https", "a.eu.example.com", 443, "*")).allowed)

    def test_methods(self) -> None:
        self.allowed("https://api.example.com/v1", ("Authorization", "Bearer zero"), method="POST")
        self.denied("https://api.example.com/v1", "method DELETE", method="DELETE")
        self.denied("https://api.example.com/v1", "method get", method="get")
        self.allowed("https://api.example.com/v1/public", None, method="DELETE")
        self.denied("https://a.eu.example.com/", "method is not valid", method="GET /x")

    def test_no_token_in_the_clear_and_none_that_is_missing(self) -> None:
        self.denied("http://api.example.com/v1", "needs https")
        self.allowed("http://a.example.com/", ("X-Api-Key", "one"))
        self.allowed("http://a.eu.example.com/", None)
        self.denied("https://lacking.test/", "EGRESS_TOKEN_9, which is not set")
        self.denied("ftp://a.eu.example.com:80/", "scheme")
        self.assertEqual(self.routes.missing(), ["EGRESS_TOKEN_9"])
        self.assertEqual(core.load(ROUTES, {}).missing(), ["EGRESS_TOKEN_0", "EGRESS_TOKEN_1", "EGRESS_TOKEN_9"])
        empty = core.load(ROUTES, {"EGRESS_TOKEN_0": ""})
        self.assertFalse(empty.decide(request("https://api.example.com/v1")).allowed)

    def test_nothing_prints_a_token(self) -> None:
        decision = self.routes.decide(request("https://api.example.com/v1"))
        self.assertNotIn("zero", repr(decision) + repr(self.routes) + str(self.routes))


class Ambiguity(unittest.TestCase):
    """A path that some server could read as a path of another route."""

    PREFIXES = ("/admin", "/a/Bee", "/\u00e9t\u00e9", "/v1.2/x y")

    def decide(self, path: str) -> core.Decision:
        prefixes = "".join(
            f"  - host: a.test\n    paths:\n      - '{prefix}'\n    token: EGRESS_TOKEN_{at}\n"
            for at, prefix in enumerate(self.PREFIXES)
        )
        environment = {f"EGRESS_TOKEN_{at}": str(at) for at in range(len(self.PREFIXES))} | {"EGRESS_TOKEN_9": "general"}
        routes = core.load(f"routes:\n{prefixes}  - host: a.test\n    token: EGRESS_TOKEN_9\n", environment)
        return routes.decide(Request("GET", "https", "a.test", 443, path))

    def test_the_plain_spelling_gets_its_own_token(self) -> None:
        for at, prefix in enumerate(self.PREFIXES):
            for rest in ("", "/", "/x", "/x%2fy", "/X;p=1/%41"):
                decision = self.decide(quote(prefix) + rest)
                self.assertEqual(decision.inject, ("Authorization", f"Bearer {at}"), prefix + rest)
        for path in ("/", "/other", "/adminx", "/a/Beed", "/x/admin", "/v1.2/x", "/a"):
            self.assertEqual(self.decide(path).inject, ("Authorization", "Bearer general"), path)

    def test_no_other_spelling_gets_the_general_token(self) -> None:
        for prefix in self.PREFIXES:
            first, slash, last = prefix.rpartition("/")
            plain = quote(prefix)
            spellings = [
                f"{plain}%2fx", f"{plain}%2Fx", f"{plain}%252fx", f"{plain}%25252fx", f"{plain};a/x", f"{plain};a=b;c/x",
                f"{plain}%3ba/x", f"{plain}%253ba/x", f"{plain}./x", f"{plain}%20/x", f"{plain}%2e/x", f"{plain}%3fx",
                f"{plain}%23x", f"{plain}%253fx", f"{plain}%EF%BC%8Fx", quote(prefix.upper()) + "/x",
                quote(prefix.swapcase()) + "/x", f"/{plain}/x", f"/;p{plain}/x", quote(prefix.title()) + ";a/x",
                first + slash + "".join(f"%25{byte:02x}" for byte in last.encode()) + "/x",
                first + slash + quote("".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in last)) + "/x",
            ]  # fmt: skip
            for path in spellings:
                if path.removesuffix("/x") == plain:
                    continue
                with self.subTest(path=path):
                    decision = self.decide(path)
                    self.assertNotEqual(decision.inject, ("Authorization", "Bearer general"))
                    self.assertFalse(decision.allowed and decision.inject is None)

    def test_one_route_cannot_be_confused(self) -> None:
        routes = core.load("routes:\n  - host: a.test\n    paths:\n      - /v1\n", {})
        for path in ("/v1/group%2Fproject", "/v1/A;b", "/v1/%2541", "/v1//x", "//v1/x"):
            self.assertTrue(routes.decide(Request("GET", "https", "a.test", 443, path)).allowed, path)


class Leaving(unittest.TestCase):
    """The headers that leave: exactly those that are decided."""

    def setUp(self) -> None:
        self.routes = core.load(
            "routes:\n  - host: a.test\n    token: EGRESS_TOKEN_0\n    header: X-Api-Key\n  - host: ws.test\n    websocket: true\n",
            {"EGRESS_TOKEN_0": "zero"},
        )

    def decide(self, *headers: tuple[str, str], host: str = "a.test", method: str = "POST", **parts: Any) -> core.Decision:
        return self.routes.decide(Request(method, "https", host, 443, **{"target": "/x", "headers": headers, **parts}))

    def leaves(self, sent: list[tuple[str, str]], left: list[tuple[str, str]]) -> None:
        with self.subTest(sent=sent):
            decision = self.decide(*sent)
            self.assertEqual(decision.reason, "")
            self.assertEqual(decision.headers, (("Host", "a.test"), *left, ("X-Api-Key", "zero")))

    def test_what_stays_and_what_goes(self) -> None:
        self.leaves([], [])
        self.leaves(
            [("host", "A.test.:443"), ("Accept", "*/*"), ("accept", "text/html")],
            [("Accept", "*/*"), ("accept", "text/html")],
        )
        for name in (
            "Authorization", "authorization", "AUTHORIZATION", "Proxy-Authorization", "proxy_authorization", "x-api-key",
            "X_Api_Key", "X-API_KEY", "TE", "Trailer", "Keep-Alive", "Proxy-Connection", "HTTP2-Settings",
        ):  # fmt: skip
            self.leaves([(name, "agent"), ("A", "b")], [("A", "b")])
        self.leaves(
            [("Connection", "close, X-Hop"), ("X-Hop", "1"), ("x_hop", "1"), ("B", "")], [("B", ""), ("Connection", "close")]
        )
        self.leaves([("Connection", "keep-alive")], [("Connection", "keep-alive")])
        self.leaves([("Connection", "X-Api-Key, authorization")], [])
        self.leaves([("Content-Length", "12")], [("Content-Length", "12")])
        self.leaves([("TRANSFER-ENCODING", "Chunked")], [("Transfer-Encoding", "chunked")])
        self.leaves([("Upgrade", "h2c"), ("Connection", "Upgrade, HTTP2-Settings"), ("HTTP2-Settings", "AA")], [])
        self.leaves([("Cookie", "a=\xe9; b"), ("Cookie", "c")], [("Cookie", "a=\xe9; b"), ("Cookie", "c")])

    def test_a_100_is_for_whoever_waits_for_it(self) -> None:
        waits = self.decide(("Expect", "100-Continue"), ("Content-Length", "1"))
        self.assertEqual((waits.allowed, waits.continues, "expect" in dict(waits.headers)), (True, True, False))
        self.assertFalse(self.decide().continues)

    def test_what_could_be_read_in_two_ways_is_denied(self) -> None:
        for sent in (
            [("Host", "a.test"), ("host", "a.test")], [("Host", "b.test")], [("Host", "a.test b.test")], [("X y", "1")],
            [("", "1")], [("X:", "1")], [("X\r\nY", "1")], [("\xe9", "1")], [("X", "1\r\nY: 2")], [("X", "1\nY: 2")], [("X", "1\r")],
            [("X", "\x00")], [("X", "\x1b[2J")], [("X", "\x7f")], [("X", "1\r\n folded")], [("Content-Length", "1"), ("content-length", "1")],
            [("Content-Length", "1"), ("Transfer-Encoding", "chunked")], [("Content-Length", "+1")], [("Content-Length", "1, 1")],
            [("Content-Length", "01")], [("Content-Length", "0x1")], [("Content-Length", "")], [("Content-Length", "-1")],
            [("Content-Length", "9" * 30)], [("Content-Length", "\u0661".encode().decode("latin-1"))], [("Transfer-Encoding", "gzip, chunked")],
            [("Transfer-Encoding", "identity")], [("Transfer-Encoding", "")], [("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")],
            [("Transfer_Encoding", "chunked")], [("Content_Length", "1")], [("host_", "x"), ("Host", "a.test"), ("HOST", "a.test")],
            [("Expect", "200-ok")], [("Expect", "100-continue"), ("Expect", "100-continue")], [("Upgrade", "bytes"), ("Connection", "upgrade")],
            [("Upgrade", "websocket"), ("Connection", "upgrade")], [("Upgrade", "h2c, bytes"), ("Connection", "upgrade")],
            [("X-Original-URL", "/admin")], [("x-rewrite-url", "/admin")], [("X_Rewrite_Url", "/admin")], [("X-Forwarded-Host", "b.test")],
            [("X-HTTP-Method-Override", "TRACE")], [("x_http_method_override", "PURGE")], [("X", "1")] * 200, [("X", "1" * 70_000)],
        ):  # fmt: skip
            with self.subTest(sent=sent):
                decision = self.decide(*sent)
                self.assertEqual((decision.allowed, decision.headers, decision.inject), (False, (), None))
                self.assertTrue(decision.reason.isascii() and decision.reason.isprintable())
        self.assertTrue(self.decide(("X-HTTP-Method-Override", "PATCH")).allowed)

    def test_versions_trailers_and_targets(self) -> None:
        self.assertTrue(self.decide(version="HTTP/1.0").allowed)
        self.assertFalse(self.decide(("Transfer-Encoding", "chunked"), version="HTTP/1.0").allowed)
        for version in ("HTTP/2.0", "HTTP/3", "HTTP/0.9", "HTTP/1.2", "", "HTTP/1.1\r\nX: y"):
            self.assertFalse(self.decide(version=version).allowed, version)
        self.assertFalse(self.decide(trailers=(("X", "1"),)).allowed)
        for target in (
            "/x?a b", "/x?a\r\nX: y", "/x?a HTTP/1.1\r\n\r\n", "/x?\x00", "/x?\xe9", "/x?a#b", "/x y", "/x\t", "x", "*", "", "/x?" + "a" * 70_000,
        ):  # fmt: skip
            self.assertFalse(self.decide(target=target).allowed, target)
        self.assertTrue(self.decide(target="/x?a=%0d%0a&b=/../").allowed)

    def test_methods(self) -> None:
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            self.assertTrue(self.decide(method=method).allowed, method)
        for method in ("TRACE", "TRACK", "CONNECT", "PRI", "PROPFIND", "get", "", "GET /", "G\r\n", "GET\u2028", "BREW"):
            self.assertFalse(self.decide(method=method).allowed, method)

    def test_websockets(self) -> None:
        asks = [
            ("Upgrade", "websocket"),
            ("Connection", "keep-alive, Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "a"),
        ]
        allowed = self.decide(*asks, ("Sec-WebSocket-Extensions", "permessage-deflate"), host="ws.test", method="GET")
        self.assertTrue(allowed.websocket)
        self.assertEqual(
            allowed.headers, (("Host", "ws.test"), *asks[2:], ("Connection", "Upgrade"), ("Upgrade", "websocket"))
        )
        for decision in (
            self.decide(*asks, method="GET"), self.decide(*asks, host="ws.test"), self.decide(*asks[:3], host="ws.test", method="GET"),
            self.decide(*asks, ("Content-Length", "1"), host="ws.test", method="GET"), self.decide(*asks[:1], *asks[2:], host="ws.test", method="GET"),
        ):  # fmt: skip
            self.assertEqual((decision.allowed, decision.websocket), (False, False))

    def test_every_request_leaves_unambiguous_or_not_at_all(self) -> None:
        """Whatever is sent: what leaves has one Host, one end, one token, no credential of the agent, no line ends."""
        random = Random(16)
        names = ["Host", "host", "Content-Length", "Transfer-Encoding", "Connection", "Authorization", "X_Api-Key", "X-Api-Key",
                 "Expect", "Upgrade", "TE", "X", "Trailer", "A\nB", "\xff", "Cookie", "X-HTTP-Method-Override"]  # fmt: skip
        values = ["a.test", "b.test", "0", "5", "5, 5", "chunked", "gzip", "close", "host, x-api-key", "agent", "100-continue",
                  "websocket", "h2c", "1\r\nY: z", "\x00", "\x85", "PUT", "TRACE", ""]  # fmt: skip
        passed = 0
        for _ in range(10_000):
            sent = tuple((random.choice(names), random.choice(values)) for _ in range(random.randrange(6)))
            decision = self.decide(*sent, version=random.choice(["HTTP/1.1", "HTTP/1.0"]))
            if not decision.allowed:
                continue
            passed += 1
            left = [(name.lower().replace("_", "-"), value) for name, value in decision.headers]
            found = [name for name, _ in left]
            self.assertEqual([value for name, value in left if name == "host"], ["a.test"])
            self.assertEqual([value for name, value in left if name == "x-api-key"], ["zero"])
            self.assertLessEqual(found.count("content-length") + found.count("transfer-encoding"), 1)
            self.assertFalse({"authorization", "upgrade", "expect", "te", "trailer"} & set(found))
            self.assertFalse(
                re.search(r"[\x00-\x08\x0a-\x1f\x7f]", "".join(name + value for name, value in decision.headers))
            )
        self.assertGreater(passed, 1000)


class Keeping(unittest.TestCase):
    """What clients send is not kept, although names and paths are looked up in caches."""

    LENGTH = 60_000
    COUNT = 64

    def growth(self, decide: Callable[[Request], object], requests: Iterable[Request]) -> int:
        """Bytes that are still there after requests."""
        tracemalloc.start()
        try:
            for one in requests:
                decide(one)
            gc.collect()
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    def requests(self, place: str) -> Iterator[Request]:
        for number in range(self.COUNT):
            long = f"{number:05}" + "a;1/" * (self.LENGTH // 4)
            match place:
                case "path":
                    yield request("https://api.example.com/" + long)
                case "query":
                    yield request("https://api.example.com/v1?" + long)
                case "host":
                    yield Request("GET", "https", long.replace(";", ".").replace("/", "."), 443, "/")
                case "claim":
                    yield request("https://api.example.com/v1", claims=(long,))
                case _:
                    yield Request("GET", "https", "api.example.com", 443, "/v1", headers=((re.sub("[;/]", "-", long), "x"),))

    def test_nothing_that_is_sent_is_kept(self) -> None:
        for place in ("path", "query", "host", "claim", "header"):
            with self.subTest(place=place):
                routes = core.load(ROUTES, ENVIRONMENT)
                self.assertLess(self.growth(routes.decide, self.requests(place)), 500_000)
                kept: list[Request] = []
                self.assertGreater(self.growth(kept.append, self.requests(place)), self.LENGTH * self.COUNT, "control")

    def test_a_path_may_be_long_but_not_endless(self) -> None:
        routes = core.load(ROUTES, ENVIRONMENT)
        for length, allowed in ((8 << 10, True), ((8 << 10) + 1, False)):
            decision = routes.decide(
                request("https://api.example.com/v1/".ljust(len("https://api.example.com") + length, "a"))
            )
            self.assertEqual(decision.allowed, allowed, decision.reason)


class Printing(unittest.TestCase):
    def test_one_line_of_visible_ascii(self) -> None:
        for text in (
            "\r\n",
            "\u2028",
            "\u2029",
            "\x85",
            "\x9b2J",
            "\x1b[2J",
            "\x7f",
            "\u202e",
            "\udc80",
            "a\tb",
            "\x00",
            "\U0001f600",
        ):
            printed = core.printable(f"a{text}b")
            self.assertTrue(printed.isascii() and printed.isprintable(), printed)
            self.assertNotEqual(printed, "ab")
        self.assertEqual(core.printable("denied: host a.test"), "denied: host a.test")
        self.assertLess(len(core.printable("\u2028" * 1_000_000)), 10_000)

    def test_reasons_are_printable(self) -> None:
        routes = core.load("routes:\n  - host: a.test\n", {})
        for parts in (
            {"method": "G\u2028"},
            {"scheme": "f\x85"},
            {"host": "\u2028"},
            {"claims": ("\x9b",)},
            {"version": "\n"},
        ):
            asked = {"method": "GET", "scheme": "https", "host": "a.test", "port": 443, "target": "/", **parts}
            reason = routes.decide(Request(**asked)).reason  # type: ignore[arg-type]
            self.assertTrue(reason and reason.isascii() and reason.isprintable(), reason)


class RoutesFile(unittest.TestCase):
    def refused(self, text: str, *parts: str, environment: dict[str, str] | None = None) -> None:
        with self.subTest(text=text):
            with self.assertRaises(core.RoutesError) as caught:
                core.load(text, environment or {})
            for part in parts:
                self.assertIn(part, str(caught.exception))

    def test_no_routes_deny_everything(self) -> None:
        routes = core.load("routes: []\n", {})
        self.assertFalse(routes.decide(request("https://api.example.com/")).allowed)
        self.assertFalse(core.Routes(()).decide_connect("a.test", 443).allowed)

    def test_errors_name_line_and_key(self) -> None:
        self.refused("", "line 1", "routes")
        self.refused("- a", "line 1", "routes")
        self.refused("routes:\n", "line 1", "routes", "list")
        self.refused("routes: []\nmore: 1", "line 2", "more", "unknown key")
        self.refused("routes:\n  - paths:\n    - /", "line 2", "host", "missing")
        self.refused("routes:\n  - word", "line 2")
        head = "routes:\n  - host: a.test\n    "
        for rest, key in [
            ("hots: x", "hots"), ("paths: /x", "paths"), ("paths: []", "paths"), ("paths:\n    - x", "paths"),
            ("paths:\n    - /a/../b", "paths"), ("paths:\n    - /a?b", "paths"), ("paths:\n    - 1", "paths"),
            ("methods:\n    - get", "methods"), ("methods:\n    - TRACE", "methods"), ("websocket: 1", "websocket"), ("methods: []", "methods"), ("methods: GET", "methods"),
            ("ports:\n    - '80'", "ports"), ("ports:\n    - 0", "ports"), ("ports:\n    - true", "ports"),
            ("ports:\n    - 65536", "ports"), ("ports: []", "ports"), ("header: X", "header"), ("scheme: X", "scheme"),
            ("token_over_http: true", "token_over_http"), ("token: HOME", "token"), ("token: EGRESS_TOKEN_", "token"),
            ("token: 1", "token"), ("token:", "token"), ("token: EGRESS_TOKEN_0\n    header: 'X: y'", "header"),
            ("token: EGRESS_TOKEN_0\n    header: Host", "header"), ("token: EGRESS_TOKEN_0\n    header: ''", "header"),
            ("token: EGRESS_TOKEN_0\n    scheme: a b", "scheme"),
            ("token: EGRESS_TOKEN_0\n    token_over_http: 'yes'", "token_over_http"), ("host: b.test", "host"),
        ]:  # fmt: skip
            self.refused(head + rest, "line ", key)
        for host in ("a b", "a.test:80", "*", "*.", "*.com", "a.*.test", "http://a.test", "*a.test", "''", "1", "[::1]:80"):
            self.refused(f"routes:\n  - host: '{host}'", "line 2", "host")
        self.refused("routes:\n  - host: a.test\n  - host: A.test.", "line 3", "line 2")
        self.refused("routes:\n  - host: a.test\n    paths:\n      - /\n  - host: a.test", "line 5", "line 2")

    def test_a_token_that_breaks_the_header_is_refused_without_being_shown(self) -> None:
        text = "routes:\n  - host: a.test\n    token: EGRESS_TOKEN_0"
        for token in ("se\ncret", "secret ", "s\u00e9cret", "\x00secret"):
            with self.assertRaises(core.RoutesError) as caught:
                core.load(text, {"EGRESS_TOKEN_0": token})
            self.assertIn("line 3: token", str(caught.exception))
            self.assertNotIn("cret", str(caught.exception))

    def test_routes_of_one_host_may_differ_in_path_or_port(self) -> None:
        routes = core.load(
            "routes:\n  - host: a.test\n  - host: a.test\n    paths:\n    - /x\n  - host: a.test\n    ports:\n    - 8080\n",
            {},
        )
        self.assertEqual(len(routes.entries), 3)


if __name__ == "__main__":
    unittest.main()
