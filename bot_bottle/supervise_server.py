"""supervise: an MCP server over HTTP on port 9100, by which the agent proposes changes to what holds it.

Transport: JSON-RPC 2.0 messages and batches by POST to / or /mcp, answered as JSON (MCP's streamable HTTP without
sessions). A GET that accepts text/event-stream stays open, with comments to keep it alive. GET /health answers 200.
Everything is bounded: bodies, connections, streams, time between bytes. TERM ends the process at once with 0.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

import supervise

ADDRESS = ("0.0.0.0", 9100)
ENDPOINTS = ("/", "/mcp")
MAX_BODY_BYTES = 1 << 20
MAX_DRAINED_BYTES = 1 << 24
"""How much of a refused body is read, so that its sender gets to see the answer."""
MAX_BATCH = 100
MAX_CONNECTIONS = 64
MAX_STREAMS = 16
IDLE_SECONDS = 120
KEEP_ALIVE_SECONDS = 15

PROTOCOL_VERSIONS = ("2025-06-18", "2025-03-26", "2024-11-05")
"""MCP revisions that are served, newest first."""

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602

KINDS = ("route", "allowlist", "upstream", "other")
LENGTHS = {"kind": 20, "title": 200, "detail": 10_000}
"""Arguments of the tool and the most characters that each may have."""

TOOL: dict[str, Any] = {
    "name": "propose",
    "description": "Propose a change to this bottle, such as a host to reach or a repository to push to. A person "
    "outside decides; the change, if it comes, comes later. Nothing secret belongs into a proposal.",
    "inputSchema": {
        "type": "object",
        "properties": {
            "kind": {"type": "string", "enum": list(KINDS), "description": "What is to change."},
            "title": {"type": "string", "maxLength": LENGTHS["title"], "description": "The change in one line."},
            "detail": {"type": "string", "maxLength": LENGTHS["detail"], "description": "What exactly, and why."},
        },
        "required": ["kind", "title", "detail"],
        "additionalProperties": False,
    },
}


class RpcError(Exception):
    """An answer with a JSON-RPC error code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Reply:
    """A JSON-RPC document to send back, or None where nothing is owed; ``bad`` if it could not be read at all."""

    document: Any
    bad: bool = False


def answer(body: bytes, queue: supervise.Queue) -> Reply:
    """Answers a request body: one message or a batch of them."""
    try:
        message = json.loads(body.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return Reply(_failure(None, RpcError(PARSE_ERROR, "the body is not JSON")), bad=True)
    if not isinstance(message, list):
        single = _answer_one(message, queue)
        return Reply(single, bad=single is not None and single.get("error", {}).get("code") == INVALID_REQUEST)
    if not 0 < len(message) <= MAX_BATCH:
        return Reply(_failure(None, RpcError(INVALID_REQUEST, f"a batch has 1 to {MAX_BATCH} messages")), bad=True)
    answers = [answered for item in message if (answered := _answer_one(item, queue)) is not None]
    return Reply(answers or None)


def _answer_one(message: Any, queue: supervise.Queue) -> dict[str, Any] | None:
    try:
        call = _call(message)
    except RpcError as error:
        return _failure(None, error)
    if call is None:
        return None
    try:
        method = METHODS.get(call.method)
        if method is None:
            raise RpcError(METHOD_NOT_FOUND, f"unknown method {call.method[:100]!a}")
        if not isinstance(call.params, dict):
            raise RpcError(INVALID_PARAMS, "params have to be an object")
        return {"jsonrpc": "2.0", "id": call.id, "result": method(call.params, queue)}
    except RpcError as error:
        return _failure(call.id, error)


@dataclass(frozen=True)
class _Call:
    id: str | int
    method: str
    params: Any


def _call(message: Any) -> _Call | None:
    """The call in a message; None for notifications and for answers, to which nothing is said."""
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, "not a JSON-RPC 2.0 message")
    method = message.get("method")
    if method is None and ("result" in message or "error" in message) and "id" in message:
        return None
    if not isinstance(method, str):
        raise RpcError(INVALID_REQUEST, "method has to be a string")
    if "id" not in message:
        return None
    id = message["id"]
    if isinstance(id, bool) or not isinstance(id, (str, int)):
        raise RpcError(INVALID_REQUEST, "id has to be a string or a whole number")
    return _Call(id, method, message.get("params", {}))


def _failure(id: str | int | None, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "error": {"code": error.code, "message": str(error)}}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _initialize(params: Mapping[str, Any], _queue: supervise.Queue) -> dict[str, Any]:
    wanted = params.get("protocolVersion")
    if not isinstance(wanted, str):
        raise RpcError(INVALID_PARAMS, "protocolVersion has to be a string")
    return {
        "protocolVersion": wanted if wanted in PROTOCOL_VERSIONS else PROTOCOL_VERSIONS[0],
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "supervise", "title": "Bottle supervision", "version": "1"},
    }


def _ping(_params: Mapping[str, Any], _queue: supervise.Queue) -> dict[str, Any]:
    return {}


def _tools_list(_params: Mapping[str, Any], _queue: supervise.Queue) -> dict[str, Any]:
    return {"tools": [TOOL]}


def _tools_call(params: Mapping[str, Any], queue: supervise.Queue) -> dict[str, Any]:
    name = params.get("name")
    if name != TOOL["name"]:
        raise RpcError(INVALID_PARAMS, f"unknown tool {str(name)[:100]!a}")
    arguments = params.get("arguments")
    if not isinstance(arguments, dict):
        raise RpcError(INVALID_PARAMS, "arguments have to be an object")
    for key in arguments.keys() - LENGTHS.keys():
        raise RpcError(INVALID_PARAMS, f"unknown argument {key[:100]!a}")
    for key, length in LENGTHS.items():
        value = arguments.get(key)
        if not isinstance(value, str) or not value.strip():
            raise RpcError(INVALID_PARAMS, f"argument {key} has to be text")
        if len(value) > length:
            raise RpcError(INVALID_PARAMS, f"argument {key} is longer than {length} characters")
    if arguments["kind"] not in KINDS:
        raise RpcError(INVALID_PARAMS, f"argument kind has to be one of {', '.join(KINDS)}")
    try:
        proposal = queue.put(arguments)
    except supervise.QueueError as error:
        return _said(f"Not queued: {error}.", failed=True)
    return _said(f"Proposal {proposal} is queued for a person to decide.", failed=False)


def _said(text: str, failed: bool) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "isError": failed}


METHODS: dict[str, Callable[[Mapping[str, Any], supervise.Queue], dict[str, Any]]] = {
    "initialize": _initialize,
    "ping": _ping,
    "tools/list": _tools_list,
    "tools/call": _tools_call,
}


class Server(ThreadingMixIn, TCPServer):
    """A thread for each connection, up to a limit; those beyond it are closed at once.

    Not http.server's HTTPServer, which asks DNS for its own name before it listens.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = MAX_CONNECTIONS

    def __init__(self, address: tuple[str, int], queue: supervise.Queue) -> None:
        super().__init__(address, Handler)
        self.queue = queue
        self.streams = threading.BoundedSemaphore(MAX_STREAMS)
        self._connections = threading.BoundedSemaphore(MAX_CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hands a connection to a thread of its own if one is free."""
        if not self._connections.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._connections.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serves a connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that break are not worth a stack trace; anything else is."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """HTTP around `answer`."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "supervise"
    sys_version = ""
    path = ""
    timeout = IDLE_SECONDS

    def do_GET(self) -> None:
        """Health, or a stream that stays open."""
        if self.path == "/health":
            self._send(HTTPStatus.OK, {"status": "ok"})
        elif self.path not in ENDPOINTS:
            self._fail(HTTPStatus.NOT_FOUND)
        elif self._from_browser():
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
        elif self._from_browser():
            self._send(HTTPStatus.FORBIDDEN, {"error": HTTPStatus.FORBIDDEN.phrase})
        elif self.headers.get("MCP-Protocol-Version", PROTOCOL_VERSIONS[0]) not in PROTOCOL_VERSIONS:
            self._send(HTTPStatus.BAD_REQUEST, {"error": "MCP-Protocol-Version is not served"})
        else:
            reply = answer(body, self.server.queue)
            if reply.document is None:
                self._send(HTTPStatus.ACCEPTED, None)
            else:
                self._send(HTTPStatus.BAD_REQUEST if reply.bad else HTTPStatus.OK, reply.document)

    def log_message(self, format: str, *args: Any) -> None:
        """One line to standard error, without whatever a request line could smuggle into it."""
        print((format % args).encode("ascii", "backslashreplace").decode(), file=sys.stderr, flush=True)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002 - the base class's signature
        """Probes ask every few seconds: they are not logged."""
        if self.path != "/health":
            self.log_message("%a %s", self.requestline, int(code))

    def _from_browser(self) -> bool:
        """A page on the host must not reach the published port; only browsers send Origin."""
        return "Origin" in self.headers

    def _body(self) -> bytes | None:
        """Reads the body; None once it was refused."""
        length = self.headers.get("Content-Length")
        if length is None or "Transfer-Encoding" in self.headers:
            self._fail(HTTPStatus.LENGTH_REQUIRED)
        elif not (length.isascii() and length.isdigit() and len(length) < 19):
            self._fail(HTTPStatus.BAD_REQUEST)
        elif int(length) > MAX_BODY_BYTES:
            self._fail(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            self._drain(int(length))
        else:
            body = self.rfile.read(int(length))
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
        self.end_headers()
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


def serve(address: tuple[str, int] = ADDRESS) -> None:
    """Serves until TERM or INT, which end the process with 0."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        queue = supervise.from_environment(os.environ)
        server = Server(address, queue)
    except OSError as error:
        sys.exit(f"supervise: cannot start: {error}")
    host, port = server.socket.getsockname()
    print(f"supervise: listening on {host}:{port}, queue {queue.folder}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve()
