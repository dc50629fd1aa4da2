"""A client that writes whatever bytes an attack needs, and reads until nothing more comes."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable

import h2.config
import h2.connection
import h2.events
import h2.exceptions

IDLE = 0.3
"""Seconds without a byte after which an exchange is over."""

PATIENCE = 60.0
"""Seconds for one step of a loaded machine."""

_CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_CONTEXT.check_hostname = False
_CONTEXT.verify_mode = ssl.CERT_NONE
_H2 = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_H2.check_hostname = False
_H2.verify_mode = ssl.CERT_NONE
_H2.set_alpn_protocols(["h2"])

Field = tuple[bytes, bytes]


def read(stream: socket.socket, idle: float = IDLE) -> bytes:
    """What comes until the end or until nothing has come for a while."""
    stream.settimeout(idle)
    found = b""
    try:
        while data := stream.recv(65536):
            found += data
    except OSError:
        pass
    return found


def head(stream: socket.socket) -> bytes:
    """What comes until the end of a head."""
    stream.settimeout(PATIENCE)
    found = b""
    while b"\r\n\r\n" not in found:
        data = stream.recv(65536)
        if not data:
            break
        found += data
    return found


def write(stream: socket.socket, data: bytes) -> bool:
    """Writes; false if the peer has closed or does not read."""
    stream.settimeout(PATIENCE)
    try:
        stream.sendall(data)
    except OSError:
        return False
    return True


def connect(port: int, authority: str = "") -> socket.socket:
    """A connection to the proxy, or through it if AUTHORITY is given. Raises ConnectionError for a refusal."""
    stream = socket.create_connection(("127.0.0.1", port), PATIENCE)
    if authority:
        stream.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode("latin-1"))
        answer = head(stream)
        if b" 200 " not in answer.split(b"\r\n")[0]:
            stream.close()
            raise ConnectionError(answer)
    return stream


def secure(stream: socket.socket, name: str | None, context: ssl.SSLContext = _CONTEXT) -> ssl.SSLSocket:
    """TLS with any server, which is told NAME."""
    try:
        return context.wrap_socket(stream, server_hostname=name)
    except OSError:
        stream.close()
        raise


def http2(stream: ssl.SSLSocket, headers: Iterable[Field], body: bytes = b"", trailers: Iterable[Field] = ()) -> bytes:
    """Sends one request with headers as they are, whatever was negotiated, and returns what is read."""
    config = h2.config.H2Configuration(
        client_side=True, header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
    )
    connection = h2.connection.H2Connection(config)
    connection.initiate_connection()
    last = list(trailers)
    try:
        connection.send_headers(1, list(headers), end_stream=not body and not last)
        if body:
            connection.send_data(1, body, end_stream=not last)
        if last:
            connection.send_headers(1, last, end_stream=True)
    except h2.exceptions.ProtocolError as error:
        raise ValueError(f"the attack cannot be written: {error}") from None
    write(stream, connection.data_to_send())
    found = b""
    stream.settimeout(IDLE)
    try:
        while data := stream.recv(65536):
            found += data
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.StreamEnded | h2.events.StreamReset | h2.events.ConnectionTerminated):
                    return found
            write(stream, connection.data_to_send())
    except (OSError, h2.exceptions.ProtocolError):
        pass
    return found


def tunnel(port: int, authority: str, name: str | None, *, offer_http2: bool = False) -> ssl.SSLSocket:
    """TLS through the proxy."""
    return secure(connect(port, authority), name, _H2 if offer_http2 else _CONTEXT)


def direct(port: int, *, offer_http2: bool = False) -> ssl.SSLSocket:
    """TLS with the proxy itself."""
    return secure(connect(port), "proxy.test", _H2 if offer_http2 else _CONTEXT)
