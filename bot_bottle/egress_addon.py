"""The mitmproxy addon of egress: asks egress_addon_core about every request, and sends exactly what it decides.

Tested with mitmproxy 11.0.2 and 11.1.3 in the modes ``regular`` and ``upstream:``. Routes come from
/etc/egress/routes.yaml at start, where an error ends mitmdump, and again at HUP, where an error is logged and the
last good routes stay. An option of mitmproxy under which a promise of docs/threat-model.md would break ends it too.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

from mitmproxy import connection, ctx, http
from mitmproxy.addonmanager import Loader
from mitmproxy.proxy import layer
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

import egress_addon_core as core
import egress_addon_layers as layers
import egress_addon_options as options

ROUTES = Path("/etc/egress/routes.yaml")
UPSTREAM_CA = Path("/etc/egress/upstream-ca.pem")
"""The CA of an intercepting upstream, trusted besides the system's."""
SYSTEM_CAS = Path("/etc/ssl/certs")
MAX_ROUTES_BYTES = 1 << 20
MAX_CONNECTIONS = 256
MAX_WEBSOCKETS = 16
"""Of one client address at the same time. They bound a client's memory to about 100 MB."""

_DECIDED = "egress-headers"
_WEBSOCKET = "egress-websocket"
_log = logging.getLogger("egress")


class Egress:
    """Hooks of mitmproxy; each denies when it cannot decide."""

    def __init__(self, routes: Path = ROUTES, upstream_ca: Path = UPSTREAM_CA) -> None:
        self._path = routes
        self._upstream_ca = upstream_ca
        self._routes = core.Routes(())
        self._upstreams: set[tuple[str, int]] = set()
        self._clients: Counter[str] = Counter()
        self._websockets: dict[str, str] = {}

    def load(self, _loader: Loader) -> None:
        """Sets the options and reads the routes, without which mitmdump ends before it listens, and minds HUP."""
        for handler in logging.getLogger().handlers:
            handler.addFilter(_one_line)
        try:
            options.settle()
            self._upstreams = options.upstreams()
            self._routes = self._read()
        except (OSError, ValueError) as error:
            raise SystemExit(f"egress: cannot start: {core.printable(str(error))}") from None
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.reload)
        if self._upstream_ca.exists():
            ctx.options.ssl_verify_upstream_trusted_ca = str(self._upstream_ca)
            ctx.options.ssl_verify_upstream_trusted_confdir = str(SYSTEM_CAS) if SYSTEM_CAS.is_dir() else None

    def configure(self, updated: set[str]) -> None:
        """Holds the options at what they have to be."""
        options.enforce(updated)

    def done(self) -> None:
        """Lets go of HUP, and ends mitmdump if it goes on without this addon."""
        asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
        ctx.master.shutdown()

    def reload(self) -> None:
        """Takes the routes as they are now, or keeps those in force."""
        try:
            self._routes = self._read()
        except (OSError, ValueError) as error:
            _log.error("routes not reloaded, the last good ones stay: %s", error)

    def client_connected(self, client: connection.Client) -> None:
        """A client connects; one that has too many connections is turned away."""
        address = client.peername[0]
        self._clients[address] += 1
        if self._clients[address] > MAX_CONNECTIONS:
            _log.warning("denied: %s has %d connections", address, MAX_CONNECTIONS)
            client.error = "too many connections"

    def client_disconnected(self, client: connection.Client) -> None:
        """A client has gone."""
        address = client.peername[0]
        self._clients[address] -= 1
        self._clients += Counter()
        self._websockets.pop(client.id, None)

    def next_layer(self, nextlayer: layer.NextLayer) -> None:
        """Bytes have arrived: they have to be HTTP/1, in TLS or not."""
        try:
            layers.choose(nextlayer)
        except Exception:  # noqa: BLE001 - whatever fails, the answer is no
            _log.exception("denied: no protocol could be chosen")
            nextlayer.layer = layers.Closed(nextlayer.context)

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """A client asks for a tunnel."""
        _guard(flow, lambda: self._routes.decide_connect(flow.request.host, flow.request.port))

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """The headers of a request have arrived; with streaming they leave right after this."""
        decision = _guard(flow, lambda: self._decide(flow))
        if not decision.allowed:
            return
        request = flow.request
        request.headers = _leaving(decision)
        if request.data.authority:
            request.data.authority = decision.authority.encode()
        flow.metadata[_DECIDED] = request.headers.fields
        if decision.continues:
            # mitmproxy sends the 100, and takes this away again.
            request.headers["expect"] = "100-continue"
        request.stream = True
        if decision.websocket:
            flow.metadata[_WEBSOCKET] = True
            self._websockets[flow.client_conn.id] = flow.client_conn.peername[0]

    def request(self, flow: http.HTTPFlow) -> None:
        """A request has ended. Nothing may have changed it since the decision."""
        flow.request.trailers = None
        if flow.response is None and flow.request.headers.fields != flow.metadata.get(_DECIDED):
            _log.error("denied: the request is not the one that was decided on")
            flow.kill()

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Bodies pass as they come: event streams must not wait for their end, nor large files for memory."""
        response = flow.response
        if response is None:
            return
        response.stream = True
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            return
        response.headers.pop("sec-websocket-extensions", None)
        if _WEBSOCKET not in flow.metadata or response.headers.get("upgrade", "").lower() != "websocket":
            _log.warning("denied: the origin switches protocols unasked, %s", flow.request.host)
            flow.kill()

    def response(self, flow: http.HTTPFlow) -> None:
        """A response has ended, or for a stream its headers have passed."""
        request, answer = flow.request, flow.response
        path = request.path.split("?", 1)[0]
        status = None if answer is None else answer.status_code
        _log.info("%s %s://%s:%d%s %s", request.method, request.scheme, request.host, request.port, path, status)

    def websocket_message(self, flow: http.HTTPFlow) -> None:
        """mitmproxy keeps every message of a WebSocket; only the one in hand is needed."""
        if flow.websocket is not None:
            del flow.websocket.messages[:-1]

    def server_connect(self, data: ServerConnectionHookData) -> None:
        """A connection to an origin or to the upstream proxy is about to be made: the last look at where to."""
        host, port = (data.server.address or ("", 0))[:2]
        known = (host, port) in self._upstreams if self._upstreams else self._routes.decide_connect(host, port).allowed
        if not known:
            _log.error("denied: connection to %s:%s", host, port)
            data.server.error = "not in the routes"

    def _decide(self, flow: http.HTTPFlow) -> core.Decision:
        decision = self._routes.decide(_request(flow))
        if decision.websocket:
            address = flow.client_conn.peername[0]
            if Counter(self._websockets.values())[address] >= MAX_WEBSOCKETS:
                return core.Decision(False, f"{address} has {MAX_WEBSOCKETS} WebSockets")
        return decision

    def _read(self) -> core.Routes:
        with self._path.open("rb") as file:
            text = file.read(MAX_ROUTES_BYTES + 1)
        if len(text) > MAX_ROUTES_BYTES:
            raise core.RoutesError(f"{self._path} is larger than {MAX_ROUTES_BYTES} bytes")
        try:
            routes = core.load(text.decode(), os.environ)
        except ValueError as error:
            raise core.RoutesError(f"{self._path}: {error}") from None
        for variable in routes.missing():
            _log.warning("%s is not set: its routes are denied", variable)
        _log.info("%d routes from %s", len(routes.entries), self._path)
        return routes


def _guard(flow: http.HTTPFlow, decide: Callable[[], core.Decision]) -> core.Decision:
    """Answers 403 for a denial. mitmproxy lets a request pass when a hook raises, so nothing may."""
    try:
        decision = decide()
    except Exception:  # noqa: BLE001 - whatever fails, the answer is no
        _log.exception("denied: no decision could be made")
        decision = core.Decision(False, "no decision could be made")
    else:
        if not decision.allowed:
            _log.warning("denied: %s", decision.reason)
    if not decision.allowed:
        headers = {"Content-Type": "text/plain", "Connection": "close"}
        flow.response = http.Response.make(403, f"egress: {decision.reason}\n", headers)
    return decision


def _request(flow: http.HTTPFlow) -> core.Request:
    request = flow.request
    claims = [request.data.authority.decode("latin-1"), flow.client_conn.sni]
    return core.Request(
        method=request.data.method.decode("latin-1"),
        scheme=request.scheme,
        host=request.host,
        port=request.port,
        target=request.data.path.decode("latin-1"),
        claims=tuple(claim for claim in claims if claim),
        version=request.data.http_version.decode("latin-1"),
        headers=_text(request.headers),
        trailers=_text(request.trailers),
    )


def _text(headers: http.Headers | None) -> core.Headers:
    fields = () if headers is None else headers.fields
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in fields)


def _leaving(decision: core.Decision) -> http.Headers:
    return http.Headers([(name.encode("latin-1"), value.encode("latin-1")) for name, value in decision.headers])


def _one_line(record: logging.LogRecord) -> bool:
    """Makes a log record one line of visible ASCII, whoever wrote it: mitmproxy quotes what clients send."""
    if not isinstance(record.args, _Printed):
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}: {logging.Formatter().formatException(record.exc_info)}"
        record.msg, record.args, record.exc_info = core.printable(text), _Printed(), None
    return True


class _Printed(tuple[()]):
    """The arguments of a record that _one_line has seen."""

    __slots__ = ()


addons = [Egress()]
