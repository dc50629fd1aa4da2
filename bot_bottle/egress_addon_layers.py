"""mitmproxy's protocol layers with what it lacks against a hostile client: limits, and an answer before the body.

Only HTTP/1 and TLS around it are spoken; nothing else has a layer. Each class overrides one of mitmproxy's, of the
versions that the tests run (11.0.2 and 11.1.3).
"""

from __future__ import annotations

import asyncio
from typing import cast

import h11
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from mitmproxy import ctx, http
from mitmproxy.connection import Client
from mitmproxy.net.http import http1
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import http as mitmproxy_http
from mitmproxy.proxy.layers import modes, tls
from mitmproxy.proxy.layers.http import HttpLayer, HTTPMode, HttpStream, SendHttp, _http1
from mitmproxy.proxy.layers.http._events import RequestHeaders, ResponseData, ResponseEndOfMessage, ResponseHeaders
from mitmproxy.proxy.layers.http._hooks import HttpRequestHeadersHook, HttpResponseHook
from mitmproxy.proxy.layers.websocket import WebsocketLayer

MAX_BUFFER = 128 << 10
"""Bytes that a connection may have sent without a whole head, chunk or request in them."""
MAX_HELLO = 32 << 10
MAX_MESSAGE = 1 << 20
"""Of a WebSocket, in bytes."""
MAX_WAITING = 16
"""Pieces of a body that wait for the origin's connection before the client has to wait."""
MAX_DISCARDED = 1 << 20
LINGER = 0.5
"""Seconds, and bytes, that a client may go on sending after its answer, so that it can read it."""

_Commands = layer.CommandGenerator[None]


def choose(nextlayer: layer.NextLayer) -> None:
    """Answers mitmproxy's question for the next protocol; with too little data it is asked again."""
    context = nextlayer.context
    data = nextlayer.data_client()
    if not data:
        return
    if not context.client.tls and len(data) < 3 and b"\x16\x03".startswith(data[:2]):
        return
    first = len(context.layers) == 1
    hello = not context.client.tls and starts_like_tls_record(data)
    mode = _mode(context) if first else HTTPMode.transparent
    if not hello:
        nextlayer.layer = Http(context, mode)
    elif first:
        nextlayer.layer = ClientTLS(context)
        nextlayer.layer.child_layer = Http(context, mode)
    else:
        nextlayer.layer = tls.ServerTLSLayer(context)
        nextlayer.layer.child_layer = ClientTLS(context)


def _mode(context: Context) -> HTTPMode:
    return HTTPMode.upstream if isinstance(context.layers[0], modes.HttpUpstreamProxy) else HTTPMode.regular


class Closed(layer.Layer):
    """Closes the client's connection."""

    def _handle_event(self, _event: events.Event) -> _Commands:
        yield commands.CloseConnection(self.context.client)


class ClientTLS(tls.ClientTLSLayer):
    """Bounds the ClientHello, which mitmproxy gathers up to 16 MB."""

    def receive_handshake_data(self, data: bytes) -> layer.CommandGenerator[tuple[bool, str | None]]:
        if not self.client_hello_parsed and len(self.recv_buffer) + len(data) > MAX_HELLO:
            self.recv_buffer.clear()
            return False, "ClientHello is too large"
        return (yield from super().receive_handshake_data(data))


class Chunks(ChunkedReader):
    """Drops trailers, on which mitmproxy's streams fail and which could carry a credential."""

    def __call__(self, buf: ReceiveBuffer) -> h11.Data | h11.EndOfMessage | None:
        event = super().__call__(buf)
        return h11.EndOfMessage() if isinstance(event, h11.EndOfMessage) else event


class _Bounded(_http1.Http1Connection):
    """Bounds what waits in the buffer of a connection."""

    def _handle_event(self, event: events.Event) -> _Commands:
        yield from super()._handle_event(event)
        if len(self.buf) > MAX_BUFFER:
            self.buf = ReceiveBuffer()
            yield from self.overflow()

    def overflow(self) -> _Commands:
        self.state = self.done
        yield commands.CloseConnection(self.conn)

    def read_body(self, event: events.Event) -> _Commands:
        if type(self.body_reader) is ChunkedReader:
            self.body_reader = Chunks()
        yield from super().read_body(event)


class Server(_Bounded, _http1.Http1Server):
    """The client's side of HTTP/1."""

    _discarded = 0

    def _handle_event(self, event: events.Event) -> _Commands:
        if isinstance(event, events.Wakeup):
            yield commands.CloseConnection(self.conn)
            return
        if self.response_done and isinstance(event, events.DataReceived) and self._answered():
            self._discarded += len(event.data)
            if self._discarded > MAX_DISCARDED:
                yield commands.CloseConnection(self.conn)
                return
        yield from super()._handle_event(event)

    def mark_done(self, *, request: bool = False, response: bool = False) -> _Commands:
        yield from super().mark_done(request=request, response=response)
        if response and self._answered():
            yield commands.RequestWakeup(LINGER)

    def overflow(self) -> _Commands:
        if self.state == self.read_headers:
            yield commands.SendData(self.conn, _http1.make_error_response(431, "The request's head is too large."))
        yield from super().overflow()

    def _answered(self) -> bool:
        """Whether an answer ends the connection though the request has not ended."""
        answer = self.response
        if answer is None or not self.response_done or self.request_done:
            return False
        return bool(http1.connection_close(answer.http_version, answer.headers))


class OriginClient(_Bounded, _http1.Http1Client):
    """The origin's side of HTTP/1."""


# mitmproxy has no hook that chooses the origin's side.
mitmproxy_http.__dict__[_http1.Http1Client.__name__] = OriginClient


class Stream(HttpStream):
    """One request. If the addon answers it by its headers, its body is not waited for."""

    def state_wait_for_request_headers(self, event: RequestHeaders) -> _Commands:
        inner = super().state_wait_for_request_headers(event)
        reply = None
        while True:
            try:
                command = inner.send(reply)
            except StopIteration:
                return
            reply = yield command
            if isinstance(command, HttpRequestHeadersHook) and self.flow.response is not None:
                inner.close()
                yield from self._answer(self.flow.response)
                return

    def _answer(self, response: http.Response) -> _Commands:
        self.client_state = self.server_state = self.state_errored
        yield HttpResponseHook(self.flow)
        self.flow.live = False
        yield SendHttp(ResponseHeaders(self.stream_id, response, end_stream=False), self.context.client)
        yield SendHttp(ResponseData(self.stream_id, response.raw_content or b""), self.context.client)
        yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)

    def passthrough(self, event: events.Event) -> _Commands:
        yield from super().passthrough(event)
        child = self.child_layer
        if not isinstance(child, WebsocketLayer) or not hasattr(child, "client_ws"):
            return
        if any(sum(map(len, side.frame_buf)) > MAX_MESSAGE for side in (child.client_ws, child.server_ws)):
            child.client_ws.frame_buf = child.server_ws.frame_buf = [b""]
            yield commands.CloseConnection(self.context.client)


class Http(HttpLayer):
    """HTTP/1 whose client has to wait while its request waits for the origin's connection."""

    def __init__(self, context: Context, mode: HTTPMode) -> None:
        super().__init__(context, mode)
        self.connections[context.client] = Server(context.fork())
        self._reading = True

    def make_stream(self, stream_id: int) -> _Commands:
        self.streams[stream_id] = Stream(self.context.fork(), stream_id)
        yield from self.event_to_child(self.streams[stream_id], events.Start())

    def _handle_event(self, event: events.Event) -> _Commands:
        yield from super()._handle_event(event)
        # mitmproxy queues what arrives for a stream that waits, and goes on reading.
        waiting = False
        for stream in self.streams.values():
            waiting = waiting or len(stream._paused_event_queue) > MAX_WAITING
        if waiting == self._reading:
            self._reading = _reads(self.context.client, reading=not waiting)


def _reads(client: Client, *, reading: bool) -> bool:
    """Lets a client's connection be read, or not; returns whether it is."""
    handler = ctx.master.addons.get("proxyserver").connections.get(client.id)
    if handler is None or client not in handler.transports:
        return reading
    writer = handler.transports[client].writer
    transport = cast(asyncio.Transport, cast(asyncio.StreamWriter, writer).transport)
    if reading:
        transport.resume_reading()
    elif transport.is_reading():
        transport.pause_reading()
    else:
        # The reader's own buffer is full. It reads on by itself, so this is asked again.
        return True
    return reading
