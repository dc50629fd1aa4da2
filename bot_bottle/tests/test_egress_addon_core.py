"""egress_addon_core: what passes, with which headers, and what routes.yaml may say."""

import unittest

import egress_addon_core as core
from egress_addon_core import CREDENTIAL_HEADERS, Request

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
            self.assertLessEqual(CREDENTIAL_HEADERS, decision.strip)
            if inject is not None:
                self.assertIn(inject[0].lower(), decision.strip)

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
            ("methods:\n    - get", "methods"), ("methods: []", "methods"), ("methods: GET", "methods"),
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
