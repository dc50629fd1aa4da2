"""Reads routes.yaml, where what egress allows is written down.

routes.yaml::

    routes:
      - host: api.example.com        # or "*.example.com": any name below it, not example.com itself
        paths:                       # prefixes by whole segments; absent: every path
          - /v1
        methods:                     # absent: the usual ones, see USUAL_METHODS
          - GET
        ports:                       # absent: 80 and 443
          - 443
        websocket: true              # absent: no upgrade to WebSockets
        token: EGRESS_TOKEN_0        # the variable whose value is injected; absent: nothing is
        header: Authorization        # where it goes
        scheme: Bearer               # word before it; absent: Bearer in Authorization, none elsewhere
        token_over_http: true        # absent: a route with a token needs https
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import egress_addon_headers as headers
import yaml_subset
from egress_addon_names import Segments, normal_host, segments

DEFAULT_PORTS = frozenset({80, 443})
USUAL_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
NEVER_METHODS = frozenset({"CONNECT", "PRI", "TRACE", "TRACK"})
"""TRACE sends the token back to the agent; the others leave HTTP/1."""
TOKEN_PREFIX = "EGRESS_TOKEN_"

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
    paths: tuple[Segments, ...] | None
    methods: frozenset[str]
    ports: frozenset[int]
    injection: Injection | None
    token_over_http: bool
    websocket: bool


def read(text: str, environment: Mapping[str, str]) -> tuple[Route, ...]:
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
    return tuple(entries)


def _same_path(one: Route, other: Route) -> bool:
    return bool(set(one.paths or ((),)) & set(other.paths or ((),)))


_ROUTE_KEYS = frozenset({
    "host", "paths", "methods", "ports", "websocket", "token", "header", "scheme", "token_over_http",
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
    websocket = fields.get("websocket")
    return Route(
        line=node.line,
        host=_pattern(fields["host"]),
        paths=None if paths is None else tuple(map(_prefix, _some(paths, "paths"))),
        methods=USUAL_METHODS if methods is None else frozenset(map(_method, _some(methods, "methods"))),
        ports=DEFAULT_PORTS if ports is None else frozenset(map(_port, _some(ports, "ports"))),
        injection=_injection(fields, environment) if "token" in fields else None,
        token_over_http=over_http is not None and _truth(over_http, "token_over_http"),
        websocket=websocket is not None and _truth(websocket, "websocket"),
    )


def _injection(fields: Mapping[str, yaml_subset.Node], environment: Mapping[str, str]) -> Injection:
    variable = _text(fields["token"], "token")
    if not _VARIABLE.fullmatch(variable):
        raise _error(fields["token"], "token", f"has to be the name of a variable {TOKEN_PREFIX}…")
    header = _text(fields["header"], "header") if "header" in fields else "Authorization"
    if not headers.TOKEN.fullmatch(header) or header.lower().replace("_", "-") in headers.UNROUTABLE:
        raise _error(fields["header"], "header", f"{header!a} cannot carry a token")
    scheme = "Bearer" if header.lower() == "authorization" else ""
    if "scheme" in fields:
        scheme = _text(fields["scheme"], "scheme")
        if scheme and not headers.TOKEN.fullmatch(scheme):
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


def _prefix(node: yaml_subset.Node) -> Segments:
    text = _text(node, "paths")
    prefix = None if "?" in text else segments(text)
    if prefix is None:
        raise _error(node, "paths", f"{text!a} is no plain path that begins with /")
    return prefix


def _method(node: yaml_subset.Node) -> str:
    text = _text(node, "methods")
    if not re.fullmatch(r"[A-Z]+", text):
        raise _error(node, "methods", f"{text!a} is no method in capital letters")
    if text in NEVER_METHODS:
        raise _error(node, "methods", f"{text} is never allowed")
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
