"""What egress allows, and which credential it adds: pure decisions over routes.yaml, without mitmproxy or files.

routes.yaml::

    routes:
      - host: api.example.com        # or "*.example.com": any name below it, not example.com itself
        paths:                       # prefixes by whole segments; absent: every path
          - /v1
        methods:                     # absent: every method
          - GET
        ports:                       # absent: 80 and 443
          - 443
        token: EGRESS_TOKEN_0        # the variable whose value is injected; absent: nothing is
        header: Authorization        # where it goes
        scheme: Bearer               # word before it; absent: Bearer in Authorization, none elsewhere
        token_over_http: true        # absent: a route with a token needs https

Of several routes the most specific decides alone: an exact host before a wildcard, a longer wildcard before a
shorter one, then the longest path. What no route allows is denied, and so is whatever two readers of a request
could understand differently: a Host header that names somebody else, a path that climbs.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

import yaml_subset

DEFAULT_PORTS = frozenset({80, 443})
TOKEN_PREFIX = "EGRESS_TOKEN_"
CREDENTIAL_HEADERS = frozenset({"authorization", "proxy-authorization"})
"""Headers of the agent that never leave, whatever the route; in lower case."""

_UNROUTABLE_HEADERS = frozenset({
    "connection", "content-length", "content-type", "expect", "host", "keep-alive", "proxy-connection", "te",
    "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip
_HTTP_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_VARIABLE = re.compile(TOKEN_PREFIX + r"[A-Za-z0-9_]+")
_VISIBLE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")


class RoutesError(ValueError):
    """Routes that cannot be used; the message names line and key."""


@dataclass(frozen=True)
class Injection:
    """A credential and the header that carries it; ``value`` is None when its variable is missing."""

    variable: str
    header: str
    value: str | None = field(repr=False)


@dataclass(frozen=True)
class Route:
    """One entry of routes.yaml. ``paths`` are split into decoded segments; None means any."""

    line: int
    host: str
    paths: tuple[tuple[str, ...], ...] | None
    methods: frozenset[str] | None
    ports: frozenset[int]
    injection: Injection | None
    token_over_http: bool


@dataclass(frozen=True)
class Request:
    """What a client asks for. ``claims`` are the other places where it named its destination (Host, SNI)."""

    method: str
    scheme: str
    host: str
    port: int
    target: str
    claims: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decision:
    """Whether a request passes, why not, and what its headers lose (in lower case) and gain."""

    allowed: bool
    reason: str = ""
    strip: frozenset[str] = CREDENTIAL_HEADERS
    inject: tuple[str, str] | None = field(default=None, repr=False)


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
        name = normal_host(host)
        if name is None:
            return Decision(False, f"host {host!a} is not valid")
        if not self._of_host(name):
            return Decision(False, f"host {name} is not in the routes")
        if not self._of_port(name, port):
            return Decision(False, f"port {port} of {name} is not in the routes")
        return Decision(True)

    def decide(self, request: Request) -> Decision:
        """Whether a request passes, and with which credential."""
        opening = self.decide_connect(request.host, request.port)
        name = normal_host(request.host)
        if not opening.allowed or name is None:
            return opening
        if request.scheme not in ("http", "https"):
            return Decision(False, f"scheme {request.scheme!a} is not http or https")
        for claim in request.claims:
            if not _claims_same(claim, name, request.port):
                return Decision(False, f"the request names {claim!a} besides {name}")
        if not _HTTP_TOKEN.fullmatch(request.method):
            return Decision(False, "the method is not valid")
        path = segments(request.target)
        if path is None:
            return Decision(False, "the path could be read in two ways")
        route = _longest(self._of_port(name, request.port), path)
        if route is None:
            return Decision(False, f"the path is not in the routes of {name}")
        if route.methods is not None and request.method not in route.methods:
            return Decision(False, f"method {request.method} is not in the route of {name}")
        return _credential(route, request.scheme)

    def _of_host(self, name: str) -> list[Route]:
        """The routes of the most specific host pattern that covers a name."""
        covering = [route for route in self.entries if _covers(route.host, name)]
        best = max(covering, key=lambda route: _specificity(route.host), default=None)
        return [route for route in covering if best is not None and route.host == best.host]

    def _of_port(self, name: str, port: int) -> list[Route]:
        return [route for route in self._of_host(name) if port in route.ports]


def normal_host(text: str) -> str | None:
    """A host name or address in its one normal form: lower case, no trailing dot, no brackets; None if invalid."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        pass
    else:
        return None if "%" in bare else str(address)
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        return None
    # Resolvers read 127.1, 2130706433 and 0x7f.1 as addresses.
    return None if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]) else name


def split_authority(text: str) -> tuple[str, int | None] | None:
    """Splits ``host``, ``host:port`` or ``[v6]:port``; the host comes back normal. None if invalid."""
    match = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::([0-9]{1,5}))?", text)
    host = normal_host(match[1]) if match else None
    if match is None or host is None:
        return None
    return host, int(match[2]) if match[2] else None


def segments(target: str) -> tuple[str, ...] | None:
    """The decoded segments of a request target's path, empty ones left out.

    None where servers may disagree on what the path is: dot segments in any encoding, backslashes, control
    characters, no leading slash.
    """
    path = target.split("?", 1)[0]
    if not path.startswith("/") or "#" in path:
        return None
    flat, decoded = path, _decoded(path)
    for _ in range(4):
        if decoded is None or re.search(r"[\x00-\x1f\x7f\\]", decoded):
            return None
        if any(part.split(";", 1)[0].strip() in (".", "..") for part in decoded.split("/")):
            return None
        if decoded == flat:
            break
        flat, decoded = decoded, _decoded(decoded)
    else:
        return None
    parts = (_decoded(part) for part in path.split("/") if part)
    return tuple(part for part in parts if part is not None)


def load(text: str, environment: Mapping[str, str]) -> Routes:
    """Reads routes.yaml and takes the tokens that it names from the environment. Raises RoutesError."""
    try:
        document = yaml_subset.parse(text)
    except yaml_subset.YamlError as error:
        raise RoutesError(str(error)) from None
    entries: list[Route] = []
    for node in _items(_fields(document, {"routes"}, {"routes"})["routes"], "routes"):
        route = _route(node, environment)
        for other in entries:
            if route.host == other.host and route.ports & other.ports and _same_path(route, other):
                raise RoutesError(f"line {route.line}: host: the route of line {other.line} covers the same requests")
        entries.append(route)
    return Routes(tuple(entries))


def _decoded(text: str) -> str | None:
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeError:
        return None


def _covers(pattern: str, name: str) -> bool:
    return name.endswith(pattern[1:]) if pattern.startswith("*.") else name == pattern


def _specificity(pattern: str) -> tuple[bool, int]:
    return not pattern.startswith("*."), len(pattern)


def _claims_same(claim: str, name: str, port: int) -> bool:
    authority = split_authority(claim)
    return authority is not None and authority[0] == name and authority[1] in (None, port)


def _longest(routes: Iterable[Route], path: tuple[str, ...]) -> Route | None:
    best: Route | None = None
    length = -1
    for route in routes:
        for prefix in route.paths if route.paths is not None else ((),):
            if path[: len(prefix)] == prefix and len(prefix) > length:
                best, length = route, len(prefix)
    return best


def _same_path(one: Route, other: Route) -> bool:
    return bool(set(one.paths or ((),)) & set(other.paths or ((),)))


def _credential(route: Route, scheme: str) -> Decision:
    injection = route.injection
    if injection is None:
        return Decision(True)
    if scheme != "https" and not route.token_over_http:
        return Decision(False, f"the route of {route.host} carries a token and needs https")
    if injection.value is None:
        return Decision(False, f"the route of {route.host} names {injection.variable}, which is not set")
    return Decision(
        True,
        strip=CREDENTIAL_HEADERS | {injection.header.lower()},
        inject=(injection.header, injection.value),
    )


_ROUTE_KEYS = frozenset({
    "host", "paths", "methods", "ports", "token", "header", "scheme", "token_over_http",
})  # fmt: skip


def _route(node: yaml_subset.Node, environment: Mapping[str, str]) -> Route:
    fields = _fields(node, _ROUTE_KEYS, {"host"})
    for key in ("header", "scheme", "token_over_http"):
        if key in fields and "token" not in fields:
            raise _error(fields[key], key, "means nothing without token")
    paths = fields.get("paths")
    methods = fields.get("methods")
    ports = fields.get("ports")
    over_http = fields.get("token_over_http")
    return Route(
        line=node.line,
        host=_pattern(fields["host"]),
        paths=None if paths is None else tuple(map(_prefix, _some(paths, "paths"))),
        methods=None if methods is None else frozenset(map(_method, _some(methods, "methods"))),
        ports=DEFAULT_PORTS if ports is None else frozenset(map(_port, _some(ports, "ports"))),
        injection=_injection(fields, environment) if "token" in fields else None,
        token_over_http=over_http is not None and _truth(over_http, "token_over_http"),
    )


def _injection(fields: Mapping[str, yaml_subset.Node], environment: Mapping[str, str]) -> Injection:
    variable = _text(fields["token"], "token")
    if not _VARIABLE.fullmatch(variable):
        raise _error(fields["token"], "token", f"has to be the name of a variable {TOKEN_PREFIX}…")
    header = _text(fields["header"], "header") if "header" in fields else "Authorization"
    if not _HTTP_TOKEN.fullmatch(header) or header.lower() in _UNROUTABLE_HEADERS:
        raise _error(fields["header"], "header", f"{header!a} cannot carry a token")
    scheme = "Bearer" if header.lower() == "authorization" else ""
    if "scheme" in fields:
        scheme = _text(fields["scheme"], "scheme")
        if scheme and not _HTTP_TOKEN.fullmatch(scheme):
            raise _error(fields["scheme"], "scheme", "has to be one word")
    token = environment.get(variable, "")
    if token and not _VISIBLE.fullmatch(token):
        raise _error(fields["token"], "token", f"the value of {variable} cannot stand in a header")
    return Injection(variable, header, f"{scheme} {token}".lstrip() if token else None)


def _pattern(node: yaml_subset.Node) -> str:
    text = _text(node, "host")
    wildcard = text.startswith("*.")
    name = normal_host(text[2:] if wildcard else text)
    if name is None or (wildcard and (":" in name or "." not in name)):
        raise _error(node, "host", f"{text!a} is no host name, address or *.domain (a port goes into ports)")
    return f"*.{name}" if wildcard else name


def _prefix(node: yaml_subset.Node) -> tuple[str, ...]:
    text = _text(node, "paths")
    prefix = None if "?" in text else segments(text)
    if prefix is None:
        raise _error(node, "paths", f"{text!a} is no plain path that begins with /")
    return prefix


def _method(node: yaml_subset.Node) -> str:
    text = _text(node, "methods")
    if not re.fullmatch(r"[A-Z]+", text):
        raise _error(node, "methods", f"{text!a} is no method in capital letters")
    return text


def _port(node: yaml_subset.Node) -> int:
    value = node.value if isinstance(node, yaml_subset.Scalar) else None
    if type(value) is not int or not 1 <= value <= 65535:
        raise _error(node, "ports", "has to be a port, 1 to 65535")
    return value


def _truth(node: yaml_subset.Node, key: str) -> bool:
    if not isinstance(node, yaml_subset.Scalar) or not isinstance(node.value, bool):
        raise _error(node, key, "has to be true or false")
    return node.value


def _text(node: yaml_subset.Node, key: str) -> str:
    if not isinstance(node, yaml_subset.Scalar) or not isinstance(node.value, str):
        raise _error(node, key, "has to be text")
    return node.value


def _items(node: yaml_subset.Node, key: str) -> tuple[yaml_subset.Node, ...]:
    if not isinstance(node, yaml_subset.Sequence):
        raise _error(node, key, "has to be a list")
    return node.items


def _some(node: yaml_subset.Node, key: str) -> tuple[yaml_subset.Node, ...]:
    items = _items(node, key)
    if not items:
        raise _error(node, key, "is empty, which would allow nothing: leave the key or the route out")
    return items


def _fields(node: yaml_subset.Node, known: Iterable[str], required: Iterable[str]) -> dict[str, yaml_subset.Node]:
    if not isinstance(node, yaml_subset.Mapping):
        raise RoutesError(f"line {node.line}: expected keys ({', '.join(sorted(known))})")
    for key, value in node.entries.items():
        if key not in known:
            raise _error(value, key, "unknown key")
    for key in required:
        if key not in node.entries:
            raise RoutesError(f"line {node.line}: {key}: missing")
    return node.entries


def _error(node: yaml_subset.Node, key: str, message: str) -> RoutesError:
    return RoutesError(f"line {node.line}: {key}: {message}")
