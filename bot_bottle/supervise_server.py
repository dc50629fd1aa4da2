"""supervise: an MCP server over HTTP on port 9100, by which the agent proposes changes to what holds it.

Transport: JSON-RPC 2.0 messages and batches by POST to / or /mcp, answered as JSON (MCP's streamable HTTP without
sessions). A GET that accepts text/event-stream stays open, with comments to keep it alive. GET /health answers 200.
Errors are JSON. TERM ends the process at once with 0.

Everything is bounded: bodies, connections, streams, and the time of a whole request. When all connections are taken,
GET /health is still answered: `RESERVED` connections serve nothing else, and the oldest of them makes room for a new
one. Those of the container's own probe, which comes from loopback, are apart from those of other machines.

Pages in a browser on the host must not reach a published port: a request with an Origin is refused, and so is one
whose Host is neither an address nor a name without dots, unless SUPERVISE_HOSTS lists it. A page whose own name leads
here (DNS rebinding) has such a Host.
"""

from __future__ import annotations

import io
import ipaddress
import json
import os
import re
import signal
import socket
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

import supervise
from supervise_rpc import PROTOCOL_VERSIONS, answer, log

ADDRESS = ("0.0.0.0", 9100)
ENDPOINTS = ("/", "/mcp")
MAX_BODY_BYTES = 1 << 20
MAX_DRAINED_BYTES = 1 << 24
"""How much of a refused body is read, so that its sender gets to see the answer."""
MAX_CONNECTIONS = 64
MAX_STREAMS = 16
RESERVED = 4
"""Connections for health probes beyond the others, for loopback and for other machines each."""
IDLE_SECONDS = 120
"""How long a connection may wait between two requests."""
REQUEST_SECONDS = 20
"""Time for a request, from its first byte to the last one of the answer."""
PROBE_SECONDS = 2
"""The same for a reserved connection, from its start."""
KEEP_ALIVE_SECONDS = 15


class Server(ThreadingMixIn, TCPServer):
    """A thread for each connection, up to a limit; beyond it, connections get an answer to a health probe at most.

    Not http.server's HTTPServer, which asks DNS for its own name before it listens.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = MAX_CONNECTIONS

    def __init__(self, address: tuple[str, int], queue: supervise.Queue, hosts: frozenset[str] = frozenset()) -> None:
        """Binds the address. ``hosts`` are further names that the server may be called by."""
        super().__init__(address, Handler)
        self.queue = queue
        self.hosts = hosts
        self.streams = threading.BoundedSemaphore(MAX_STREAMS)
        self._connections = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._lock = threading.Lock()
        self._reserved: set[socket.socket] = set()
        self._probes: dict[bool, deque[socket.socket]] = {True: deque(), False: deque()}
        """Reserved connections from loopback and from elsewhere, oldest first."""

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hands a connection to a thread of its own."""
        if not self._connections.acquire(blocking=False):
            self._reserve(request, client_address[0])
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._done(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serves a connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._done(request)

    def serves_probes_alone(self, request: socket.socket) -> bool:
        """Whether a connection is a reserved one."""
        with self._lock:
            return request in self._reserved

    def _reserve(self, request: socket.socket, address: str) -> None:
        probes = self._probes[ipaddress.ip_address(address).is_loopback]
        with self._lock:
            if len(probes) >= RESERVED:
                with suppress(OSError):
                    probes.popleft().shutdown(socket.SHUT_RDWR)
            probes.append(request)
            self._reserved.add(request)

    def _done(self, request: socket.socket) -> None:
        with self._lock:
            if request not in self._reserved:
                self._connections.release()
                return
            self._reserved.remove(request)
            for probes in self._probes.values():
                if request in probes:
                    probes.remove(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that break are not worth a stack trace; anything else is."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Reader(io.RawIOBase):
    """Reads from a connection until the deadline of the request, which its first byte starts."""

    def __init__(self, connection: socket.socket, first: float | None) -> None:
        """Takes the deadline of the first request, if it runs already."""
        self._connection = connection
        self.deadline = first

    def readable(self) -> bool:
        """Always."""
        return True

    def left(self) -> float:
        """Seconds until the deadline, or until the connection has waited for too long. Raises TimeoutError."""
        left = IDLE_SECONDS if self.deadline is None else self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request took too long")
        return left

    def readinto(self, buffer: Any) -> int:
        """Some bytes."""
        self._connection.settimeout(self.left())
        count = self._connection.recv_into(buffer)
        if self.deadline is None:
            self.deadline = time.monotonic() + REQUEST_SECONDS
        return count


class Handler(BaseHTTPRequestHandler):
    """HTTP around `answer`."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "supervise"
    sys_version = ""
    default_request_version = "HTTP/1.0"
    """http.server answers HTTP/0.9, its own default, without a status."""
    path = ""
    requestline = ""
    raw_requestline: bytes

    def setup(self) -> None:
        """Reads through a deadline."""
        super().setup()
        self._probe = self.server.serves_probes_alone(self.connection)
        self._reader = _Reader(self.connection, time.monotonic() + PROBE_SECONDS if self._probe else None)
        self.rfile = io.BufferedReader(self._reader)

    def handle_one_request(self) -> None:
        """A request, which starts its own deadline."""
        if not self._probe:
            self._reader.deadline = None
        super().handle_one_request()
        if self._probe:
            self.close_connection = True

    def parse_request(self) -> bool:
        """Reads the request line and the headers; says so and returns False if they are unusable."""
        self._expects = False
        if len(self.raw_requestline.split()) == 2:
            self.command, self.request_version = "", self.default_request_version
            self.requestline = self.raw_requestline.decode("iso-8859-1").strip()
            self.send_error(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
            return False
        if not super().parse_request():
            return False
        repeated = [name for name in ("Host", "Content-Length") if len(self.headers.get_all(name, ())) > 1]
        if repeated or self.headers.defects:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return False
        if self._probe and not (self.command == "GET" and self.path == "/health"):
            self._fail(HTTPStatus.SERVICE_UNAVAILABLE)
            return False
        return True

    def handle_expect_100(self) -> bool:
        """Puts it off until the body is wanted."""
        self._expects = True
        return True

    def do_GET(self) -> None:
        """Health, or a stream that stays open."""
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self._fail(HTTPStatus.BAD_REQUEST)
        elif self.path == "/health":
            self._send(HTTPStatus.OK, {"status": "ok"})
        elif self.path not in ENDPOINTS:
            self._fail(HTTPStatus.NOT_FOUND)
        elif self._from_page():
            self._fail(HTTPStatus.FORBIDDEN)
        elif "text/event-stream" not in self.headers.get("Accept", ""):
            self._fail(HTTPStatus.METHOD_NOT_ALLOWED, Allow="POST")
        elif not self.server.streams.acquire(blocking=False):
            self._fail(HTTPStatus.SERVICE_UNAVAILABLE)
        else:
            try:
                self._stream()
            finally:
                self.server.streams.release()

    def do_POST(self) -> None:
        """JSON-RPC."""
        body = self._body()
        if body is None:
            return
        if self.path not in ENDPOINTS:
            self._send(HTTPStatus.NOT_FOUND, {"error": HTTPStatus.NOT_FOUND.phrase})
        elif self._from_page():
            self._send(HTTPStatus.FORBIDDEN, {"error": HTTPStatus.FORBIDDEN.phrase})
        elif self.headers.get("MCP-Protocol-Version", PROTOCOL_VERSIONS[0]) not in PROTOCOL_VERSIONS:
            self._send(HTTPStatus.BAD_REQUEST, {"error": "MCP-Protocol-Version is not served"})
        else:
            reply = answer(body, self.server.queue)
            if reply.document is None:
                self._send(HTTPStatus.ACCEPTED, None)
            else:
                self._send(HTTPStatus.BAD_REQUEST if reply.bad else HTTPStatus.OK, reply.document)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answers what http.server finds wrong, as JSON too."""
        del message, explain
        status = HTTPStatus(code)
        if status is HTTPStatus.NOT_IMPLEMENTED:
            self._fail(HTTPStatus.METHOD_NOT_ALLOWED, Allow="GET, POST")
        else:
            self._fail(status)

    def log_message(self, format: str, *args: Any) -> None:
        """One line to standard error, without whatever a request line could smuggle into it."""
        log(format % args)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Probes ask every few seconds: they are not logged."""
        del size
        if self.path != "/health":
            self.log_message("%a %s", self.requestline, int(code))

    def _from_page(self) -> bool:
        """Whether a browser's page may have sent it: only browsers send Origin, and a page has a name of its own."""
        if "Origin" in self.headers:
            return True
        host = self.headers.get("Host")
        return host is not None and not _is_own(host, self.server.hosts)

    def _body(self) -> bytes | None:
        """Reads the body; None once it was refused."""
        length = self.headers.get("Content-Length")
        if length is None or "Transfer-Encoding" in self.headers:
            self._fail(HTTPStatus.LENGTH_REQUIRED)
        elif not (length.isascii() and length.isdigit() and len(length) < 19):
            self._fail(HTTPStatus.BAD_REQUEST)
        elif int(length) > MAX_BODY_BYTES:
            self._fail(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            if not self._expects:
                self._drain(int(length))
        else:
            if self._expects:
                self.send_response_only(HTTPStatus.CONTINUE)
                self.end_headers()
            try:
                body = self.rfile.read(int(length))
            except TimeoutError:
                self._fail(HTTPStatus.REQUEST_TIMEOUT)
                return None
            if len(body) == int(length):
                return body
            self.close_connection = True
        return None

    def _drain(self, length: int) -> None:
        left = min(length, MAX_DRAINED_BYTES)
        while left > 0 and (chunk := self.rfile.read(min(left, 1 << 16))):
            left -= len(chunk)

    def _fail(self, status: HTTPStatus, **headers: str) -> None:
        self.close_connection = True
        self._send(status, {"error": status.phrase}, Connection="close", **headers)

    def _send(self, status: HTTPStatus, document: Any, **headers: str) -> None:
        data = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if data:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        # The body may have used up the time; an answer still gets a little.
        self.connection.settimeout(max(1.0, (self._reader.deadline or 0) - time.monotonic()))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _stream(self) -> None:
        """Holds an event stream open until the client leaves. This server has nothing to say of its own accord."""
        self.close_connection = True
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        connection: socket.socket = self.connection
        connection.settimeout(KEEP_ALIVE_SECONDS)
        connection.sendall(b": open\n\n")
        while True:
            try:
                if not connection.recv(1 << 12):
                    return
            except TimeoutError:
                connection.sendall(b": still here\n\n")


def _is_own(host: str, names: frozenset[str]) -> bool:
    """Whether a Host header has an address, a name without dots, or one of the names; a port may follow."""
    name = re.sub(r":[0-9]{1,5}\Z", "", host).lower()
    if re.fullmatch("[a-z0-9_-]+", name) or name in names:
        return True
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def serve(address: tuple[str, int] = ADDRESS) -> None:
    """Serves until TERM or INT, which end the process with 0."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        queue = supervise.from_environment(os.environ)
        hosts = os.environ.get("SUPERVISE_HOSTS", "").lower().replace(",", " ").split()
        server = Server(address, queue, frozenset(hosts))
    except OSError as error:
        sys.exit(f"supervise: cannot start: {error}")
    host, port = server.socket.getsockname()
    print(f"supervise: listening on {host}:{port}, queue {queue.folder}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve()
