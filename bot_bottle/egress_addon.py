"""The mitmproxy addon of egress: asks egress_addon_core about every request, and does what it says.

Tested with mitmproxy 11.1.3 in the modes ``regular`` and ``upstream:``. Routes come from /etc/egress/routes.yaml at
start, where an error ends mitmdump, and again at HUP, where an error is logged and the last good routes stay.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path

from mitmproxy import ctx, http, tcp
from mitmproxy.addonmanager import Loader

import egress_addon_core as core

ROUTES = Path("/etc/egress/routes.yaml")
UPSTREAM_CA = Path("/etc/egress/upstream-ca.pem")
"""The CA of an intercepting upstream, trusted besides the system's."""
SYSTEM_CAS = Path("/etc/ssl/certs")
MAX_ROUTES_BYTES = 1 << 20

_log = logging.getLogger("egress")


class Egress:
    """Hooks of mitmproxy; each denies when it cannot decide."""

    def __init__(self, routes: Path = ROUTES, upstream_ca: Path = UPSTREAM_CA) -> None:
        self._path = routes
        self._upstream_ca = upstream_ca
        self._routes = core.Routes(())

    def load(self, _loader: Loader) -> None:
        """Reads the routes, without which mitmdump ends before it listens, and minds HUP."""
        try:
            self._routes = self._read()
        except (OSError, ValueError) as error:
            raise SystemExit(f"egress: cannot start: {error}") from None
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.reload)
        if self._upstream_ca.exists():
            ctx.options.ssl_verify_upstream_trusted_ca = str(self._upstream_ca)
            ctx.options.ssl_verify_upstream_trusted_confdir = str(SYSTEM_CAS) if SYSTEM_CAS.is_dir() else None

    def done(self) -> None:
        """Lets go of HUP."""
        asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)

    def reload(self) -> None:
        """Takes the routes as they are now, or keeps those in force."""
        try:
            self._routes = self._read()
        except (OSError, ValueError) as error:
            _log.error("routes not reloaded, the last good ones stay: %s", error)

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """A client asks for a tunnel."""
        _guard(flow, lambda: self._routes.decide_connect(flow.request.host, flow.request.port))

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """The headers of a request have arrived; with streaming they leave right after this."""
        decision = _guard(flow, lambda: self._routes.decide(_request(flow)))
        if not decision.allowed:
            return
        for name in decision.strip:
            flow.request.headers.pop(name, None)
        if decision.inject is not None:
            name, value = decision.inject
            flow.request.headers[name] = value
        flow.request.stream = True

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Bodies pass as they come: event streams must not wait for their end, nor large files for memory."""
        if flow.response is not None:
            flow.response.stream = True

    def tcp_start(self, flow: tcp.TCPFlow) -> None:
        """Whatever is not HTTP inside a tunnel could not be decided on."""
        _log.warning("denied: not HTTP, to %s", flow.server_conn.address)
        flow.kill()  # type: ignore[no-untyped-call]

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
        flow.response = http.Response.make(403, f"egress: {decision.reason}\n", {"Content-Type": "text/plain"})
    return decision


def _request(flow: http.HTTPFlow) -> core.Request:
    request = flow.request
    claims = [*request.headers.get_all("host"), request.authority, flow.client_conn.sni]
    return core.Request(
        method=request.method,
        scheme=request.scheme,
        host=request.host,
        port=request.port,
        target=request.path,
        claims=tuple(claim for claim in claims if claim),
    )


addons = [Egress()]
