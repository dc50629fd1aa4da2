"""What egress allows, and exactly what leaves: pure decisions over whole requests, without mitmproxy or files.

Of several routes the most specific decides alone: an exact host before a wildcard, a longer wildcard before a
shorter one, then the longest path. What no route allows is denied, and so is whatever two readers of a request
could understand differently: a Host header with another name, a path that climbs, a body without a clear end.
egress_addon_routes describes routes.yaml.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import egress_addon_headers as headers
import egress_addon_names as names
import egress_addon_routes as routes
from egress_addon_headers import CREDENTIAL_HEADERS, Headers
from egress_addon_names import Reading
from egress_addon_routes import Route, RoutesError

__all__ = ["CREDENTIAL_HEADERS", "Decision", "Headers", "Request", "Routes", "RoutesError", "load", "printable"]

MAX_PRINTED = 1000

_TARGET = re.compile(r"/[\x21\x22\x24-\x7e]*")


@dataclass(frozen=True)
class Request:
    """What a client sends, body aside, as text in Latin-1.

    ``claims`` are the places besides Host where it named its destination again (the target's authority, SNI).
    """

    method: str
    scheme: str
    host: str
    port: int
    target: str
    claims: tuple[str, ...] = ()
    version: str = "HTTP/1.1"
    headers: Headers = ()
    trailers: Headers = ()


@dataclass(frozen=True)
class Decision:
    """Whether a request passes, and why not.

    ``headers`` are the ones that leave, in this order and no others; method, target and version leave as they are,
    trailers never. ``authority`` is what leaves in an absolute target. ``continues``: the client waits for a 100
    before it sends the body. ``websocket``: a 101 that switches to WebSockets is allowed, any other is not.
    """

    allowed: bool
    reason: str = ""
    headers: Headers = field(default=(), repr=False)
    authority: str = ""
    inject: tuple[str, str] | None = field(default=None, repr=False)
    continues: bool = False
    websocket: bool = False


@dataclass(frozen=True)
class Routes:
    """The routes of one reading of routes.yaml."""

    entries: tuple[Route, ...]

    def missing(self) -> list[str]:
        """Variables that routes name and the environment lacks; requests for those routes are denied."""
        injections = (route.injection for route in self.entries)
        return sorted({found.variable for found in injections if found is not None and found.value is None})

    def decide_connect(self, host: str, port: int) -> Decision:
        """Whether a tunnel to HOST:PORT may be opened; the requests inside are decided one by one."""
        found = self._opening(host, port)
        return found if isinstance(found, Decision) else Decision(True)

    def decide(self, request: Request) -> Decision:
        """Whether a request passes, and what leaves."""
        opening = self._opening(request.host, request.port)
        if isinstance(opening, Decision):
            return opening
        name, entries = opening
        if request.scheme not in ("http", "https"):
            return _denied(f"scheme {request.scheme!a} is not http or https")
        hosts = [value for header, value in request.headers if header.lower() == "host"]
        if len(hosts) > 1:
            return _denied(f"host is given {len(hosts)} times")
        for claim in (*hosts, *request.claims):
            if not _claims_same(claim, name, request.port):
                return _denied(f"the request names {claim!a} besides {name}")
        if not headers.TOKEN.fullmatch(request.method):
            return _denied("the method is not valid")
        route = _route(name, entries, request)
        if isinstance(route, Decision):
            return route
        try:
            message = headers.understand(request.headers, request.trailers, request.version, request.target)
        except headers.RefusedError as refusal:
            return _denied(str(refusal))
        for method in (request.method, *message.methods):
            if method not in route.methods or method in routes.NEVER_METHODS:
                return _denied(f"method {method} is not in the route of {name}")
        if message.upgrade and not (route.websocket and request.method == "GET" and not message.framing):
            return _denied(f"the route of {name} does not allow WebSockets")
        return _leaving(route, request, message, names.authority(name, request.port, request.scheme))

    def _opening(self, host: str, port: int) -> Decision | tuple[str, list[Route]]:
        """The normal name of a host and its routes, or why there are none."""
        name = names.normal_host(host)
        if name is None:
            return _denied(f"host {host!a} is not valid")
        of_host = self._of_host(name)
        if not of_host:
            return _denied(f"host {name} is not in the routes")
        of_port = [route for route in of_host if port in route.ports]
        return (name, of_port) if of_port else _denied(f"port {port} of {name} is not in the routes")

    def _of_host(self, name: str) -> list[Route]:
        """The routes of the most specific host pattern that covers a name."""
        covering = [route for route in self.entries if _covers(route.host, name)]
        best = max(covering, key=lambda route: _specificity(route.host), default=None)
        return [route for route in covering if best is not None and route.host == best.host]


def load(text: str, environment: Mapping[str, str]) -> Routes:
    """Reads routes.yaml and takes the tokens that it names from the environment. Raises RoutesError."""
    return Routes(routes.read(text, environment))


def printable(text: str) -> str:
    """A text for one line of a log: visible ASCII, everything else escaped, at most MAX_PRINTED characters."""
    cut = text if len(text) <= MAX_PRINTED else text[:MAX_PRINTED] + "..."
    return cut if cut.isascii() and cut.isprintable() else cut.encode("unicode_escape").decode("ascii")


def _denied(reason: str) -> Decision:
    return Decision(False, printable(reason))


def _route(name: str, entries: list[Route], request: Request) -> Route | Decision:
    path = names.segments(request.target)
    if path is None:
        return _denied("the path is too long, or could be read in two ways")
    if not _TARGET.fullmatch(request.target):
        return _denied("the target has spaces, control characters or a fragment")
    route = _longest(entries, Reading(path))
    if route is None:
        return _denied(f"the path is not in the routes of {name}")
    if len(entries) > 1:
        for reading in names.readings(request.target):
            other = _longest(entries, reading)
            # With its empty segments a path may be outside of every route, but not in another one.
            if other is not route and not (other is None and reading.raw):
                place = "outside the routes" if other is None else f"the route of line {other.line}"
                return _denied(f"the path could be read in two ways: the route of line {route.line}, {place}")
    return route


def _covers(pattern: str, name: str) -> bool:
    return name.endswith(pattern[1:]) if pattern.startswith("*.") else name == pattern


def _specificity(pattern: str) -> tuple[bool, int]:
    return not pattern.startswith("*."), len(pattern)


def _claims_same(claim: str, name: str, port: int) -> bool:
    authority = names.split_authority(claim)
    return authority is not None and authority[0] == name and authority[1] in (None, port)


def _longest(entries: Iterable[Route], reading: Reading) -> Route | None:
    best: Route | None = None
    length = -1
    for route in entries:
        for prefix in route.paths if route.paths is not None else ((),):
            if len(prefix) > length and reading.follows(prefix):
                best, length = route, len(prefix)
    return best


def _leaving(route: Route, request: Request, message: headers.Message, authority: str) -> Decision:
    injection = route.injection
    strip = CREDENTIAL_HEADERS
    inject: tuple[str, str] | None = None
    if injection is not None:
        if request.scheme != "https" and not route.token_over_http:
            return _denied(f"the route of {route.host} carries a token and needs https")
        if injection.value is None:
            return _denied(f"the route of {route.host} names {injection.variable}, which is not set")
        inject = (injection.header, injection.value)
        strip |= {injection.header.lower().replace("_", "-")}
    return Decision(
        True,
        headers=message.leaving(authority, strip, inject),
        authority=authority,
        inject=inject,
        continues=message.continues,
        websocket=message.upgrade,
    )
