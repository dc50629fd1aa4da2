"""A recording origin (HTTP/1, the same in TLS, raw bytes) and the upstream proxy in front of it."""

from __future__ import annotations

import contextlib
import re
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE = 30.0
"""Seconds after which a connection that says nothing is given up."""


@dataclass
class Seen:
    """One request as the origin reads it."""

    line: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""

    def values(self, name: bytes) -> list[bytes]:
        """The values of a header."""
        return [value for found, value in self.headers if found.lower() == name]

    @property
    def target(self) -> bytes:
        """The target of the request line, without scheme and authority."""
        parts = self.line.split(b" ")
        return re.sub(rb"^https?://[^/]*", b"", parts[1] if len(parts) > 1 else b"")


@dataclass
class Record:
    """Everything that has arrived since the last ``clear``."""

    requests: list[Seen] = field(default_factory=list)
    raw: bytes = b""
    connections: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def clear(self) -> None:
        """Forgets."""
        with self.lock:
            self.requests, self.raw, self.connections = [], b"", 0


class _Reader:
    """The bytes of one connection, all of which are recorded."""

    def __init__(self, stream: socket.socket, record: Record) -> None:
        self._stream = stream
        self._record = record
        self.buffer = b""

    def more(self) -> bool:
        try:
            data = self._stream.recv(65536)
        except OSError:
            return False
        with self._record.lock:
            if len(self._record.raw) < 1 << 20:
                self._record.raw += data
        self.buffer += data
        return bool(data)

    def until(self, end: bytes) -> bytes | None:
        while end not in self.buffer:
            if not self.more():
                return None
        found, self.buffer = self.buffer.split(end, 1)
        return found

    def exactly(self, length: int) -> bytes | None:
        while len(self.buffer) < length:
            if not self.more():
                return None
        found, self.buffer = self.buffer[:length], self.buffer[length:]
        return found


def read_request(reader: _Reader) -> Seen | None:
    """Reads one request the way that most servers do; None at the end."""
    head = reader.until(b"\r\n\r\n")
    if head is None:
        return None
    line, *rest = head.lstrip(b"\r\n").split(b"\r\n")
    seen = Seen(line, [(name.strip(), value.strip()) for name, _, value in (text.partition(b":") for text in rest)])
    if b"chunked" in b"".join(seen.values(b"transfer-encoding")).lower():
        while size := int((reader.until(b"\r\n") or b"0").split(b";")[0], 16):
            seen.body += (reader.exactly(size + 2) or b"")[:size]
        while trailer := reader.until(b"\r\n"):
            name, _, value = trailer.partition(b":")
            seen.headers.append((name.strip(), value.strip()))
    elif length := seen.values(b"content-length"):
        seen.body = reader.exactly(int(length[-1])) or b""
    return seen


class Origin:
    """Serves HTTP/1 on one port, the same in TLS on another, and nothing but an echo on a third."""

    def __init__(self, folder: Path) -> None:
        self.record = Record()
        self.ca = folder / "origin-ca.pem"
        self._context = _certificate(folder)
        self._servers = [_serve(self._plain), _serve(self._secure), _serve(self._raw)]
        self.ports = dict(zip((80, 443, 53), (server.server_address[1] for server in self._servers), strict=True))

    def close(self) -> None:
        """Stops listening."""
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def _plain(self, stream: socket.socket) -> None:
        with self.record.lock:
            self.record.connections += 1
        self._http(stream)

    def _secure(self, stream: socket.socket) -> None:
        with self.record.lock:
            self.record.connections += 1
        # The ClientHello names the origin that never answers it.
        if b"silent.test" in stream.recv(4096, socket.MSG_PEEK):
            threading.Event().wait(PATIENCE)
            return
        try:
            wrapped = self._context.wrap_socket(stream, server_side=True)
        except OSError:
            return
        with wrapped:
            self._http(wrapped)

    def _raw(self, stream: socket.socket) -> None:
        with self.record.lock:
            self.record.connections += 1
        reader = _Reader(stream, self.record)
        while reader.more():
            stream.sendall(reader.buffer)
            reader.buffer = b""

    def _http(self, stream: socket.socket) -> None:
        reader = _Reader(stream, self.record)
        while True:
            try:
                seen = read_request(reader)
                if seen is None:
                    return
                with self.record.lock:
                    self.record.requests.append(seen)
                if b"/slow" in seen.line and reader.more():
                    return
                stream.sendall(_answer(seen))
            except (OSError, ValueError):
                return
            if seen.values(b"upgrade") or b"/switch" in seen.line:
                while reader.more():
                    reader.buffer = b""
                return


def _answer(seen: Seen) -> bytes:
    protocol = b"".join(seen.values(b"upgrade"))
    if b"/switch" in seen.line:
        protocol = b"websocket"
    if protocol:
        accept = b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        return b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + protocol + accept + b"\r\n\r\n"
    if b"/trailers" in seen.line:
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Trailer: 1\r\n\r\n"
    return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + (b"" if seen.line.startswith(b"HEAD ") else b"ok")


class Upstream:
    """Stands in for pipelock: passes on what is sent, CONNECT or absolute target, and looks at nothing."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._server = _serve(self._pass)
        self.port: int = self._server.server_address[1]

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()

    def _pass(self, stream: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            data = stream.recv(65536)
            if not data:
                return
            head += data
        port = 80
        if head.startswith(b"CONNECT "):
            port = int(head.split(b" ")[1].rpartition(b":")[2])
            head = head.split(b"\r\n\r\n", 1)[1]
            stream.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with socket.create_connection(("127.0.0.1", self._origin.ports[port]), PATIENCE) as beyond:
            beyond.sendall(head)
            back = threading.Thread(target=_copy, args=(beyond, stream), daemon=True)
            back.start()
            _copy(stream, beyond)
            back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 512
    block_on_close = False


def _serve(handle: Callable[[socket.socket], None]) -> _Server:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(PATIENCE)
            with contextlib.suppress(OSError):
                handle(self.request)

    server = _Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


def _certificate(folder: Path) -> ssl.SSLContext:
    """A CA, and a certificate of every name that the attacks use."""
    hosts = ("api", "open", "some", "ws", "evil", "fuzz")
    names = f"subjectAltName={','.join(f'DNS:{host}.test' for host in hosts)},IP:192.0.2.7"
    key, request, certificate = folder / "origin.key", folder / "origin.csr", folder / "origin.pem"
    ca_key = folder / "origin-ca.key"
    extensions = folder / "origin.ext"
    extensions.write_text(names)
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for words in (
        ["req", "-x509", *curve, "-keyout", ca_key, "-out", folder / "origin-ca.pem", "-days", "2", "-subj", "/CN=attacks"],
        ["req", *curve, "-keyout", key, "-out", request, "-subj", "/CN=origin"],
        ["x509", "-req", "-in", request, "-CA", folder / "origin-ca.pem", "-CAkey", ca_key, "-CAcreateserial",
         "-out", certificate, "-days", "2", "-extfile", extensions],
    ):  # fmt: skip
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
