"""supervise_server over real sockets: the protocol, its error codes, its bounds, and how it ends."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path
from typing import Any

import supervise
import supervise_server
from supervise_rpc import MAX_BATCH, PROTOCOL_VERSIONS
from supervise_server import MAX_BODY_BYTES, MAX_CONNECTIONS, MAX_STREAMS

MODULES = Path(supervise_server.__file__).parent
ARGUMENTS = {"kind": "route", "title": "reach pypi.org", "detail": "to install a package"}


def call(method: str, params: Any = None, id: Any = 1) -> dict[str, Any]:
    message = {"jsonrpc": "2.0", "id": id, "method": method}
    return message if params is None else {**message, "params": params}


class OverHttp(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.server = supervise_server.Server(("127.0.0.1", 0), supervise.Queue(self.folder))
        self.server.RequestHandlerClass = type("Quiet", (supervise_server.Handler,), {"log_message": lambda *_: None})
        self.address: tuple[str, int] = self.server.socket.getsockname()
        thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        thread.start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(self.server.shutdown)

    def connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(*self.address, timeout=20)
        self.addCleanup(connection.close)
        return connection

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        connection = self.connect()
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        data = response.read()
        return response.status, json.loads(data) if data else None

    def post(self, message: Any) -> tuple[int, Any]:
        return self.ask("POST", "/", message if isinstance(message, bytes) else json.dumps(message).encode())

    def code(self, message: Any) -> tuple[int, Any]:
        status, document = self.post(message)
        return status, document["error"]["code"]

    def test_a_session(self) -> None:
        status, document = self.post(call("initialize", {"protocolVersion": "2025-03-26", "capabilities": {}}))
        self.assertEqual((status, document["result"]["protocolVersion"]), (200, "2025-03-26"))
        self.assertIn("tools", document["result"]["capabilities"])
        self.assertEqual(self.post({"jsonrpc": "2.0", "method": "notifications/initialized"}), (202, None))
        self.assertEqual(self.post(call("ping", id="p")), (200, {"jsonrpc": "2.0", "id": "p", "result": {}}))
        [tool] = self.post(call("tools/list"))[1]["result"]["tools"]
        status, document = self.post(call("tools/call", {"name": tool["name"], "arguments": ARGUMENTS}, id=7))
        self.assertEqual((status, document["id"], document["result"]["isError"]), (200, 7, False))
        [path] = self.folder.iterdir()
        self.assertIn(path.stem, document["result"]["content"][0]["text"])
        self.assertLessEqual(ARGUMENTS.items(), json.loads(path.read_bytes()).items())

    def test_an_unknown_revision_is_answered_with_the_newest(self) -> None:
        document = self.post(call("initialize", {"protocolVersion": "1999-01-01"}))[1]
        self.assertEqual(document["result"]["protocolVersion"], PROTOCOL_VERSIONS[0])
        self.assertEqual(self.ask("POST", "/mcp", b"{}", MCP_Protocol_Version="1999-01-01")[0], 400)

    def test_error_codes(self) -> None:
        for body in (b"", b"{", b"\xff", b"[" * 100_000, b"NaN", b'{"a": Infinity}', b"9" * 5000):
            self.assertEqual(self.code(body), (400, -32700), body[:20])
        for message in (
            1, "x", None, {}, [], {"jsonrpc": "1.0", "id": 1, "method": "ping"}, {"jsonrpc": "2.0", "id": 1},
            {"jsonrpc": "2.0", "id": 1, "method": 1}, call("ping", id=None), call("ping", id=True), call("ping", id=1.5),
            call("ping", id=[]), [call("ping")] * (MAX_BATCH + 1),
        ):  # fmt: skip
            self.assertEqual(self.code(message), (400, -32600), message)
        for method in ("", "tools/lists", "notifications/initialized", "resources/list"):
            self.assertEqual(self.code(call(method)), (200, -32601), method)
        for message in (call("ping", []), call("ping", "x"), call("initialize"), call("initialize", {"protocolVersion": 1})):
            self.assertEqual(self.code(message), (200, -32602), message)
        for params in (
            {}, {"name": "propos"}, {"name": ["propose"]}, {"name": "propose"}, {"name": "propose", "arguments": []},
            *({"name": "propose", "arguments": arguments} for arguments in (
                {}, {**ARGUMENTS, "more": "x"}, {**ARGUMENTS, "kind": "root"}, {**ARGUMENTS, "title": " "},
                {**ARGUMENTS, "title": "x" * 201}, {**ARGUMENTS, "detail": 1}, {**ARGUMENTS, "detail": "x" * 10_001},
            )),
        ):  # fmt: skip
            self.assertEqual(self.code(call("tools/call", params)), (200, -32602), params)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_batches(self) -> None:
        notification = {"jsonrpc": "2.0", "method": "notifications/cancelled"}
        status, answers = self.post([call("ping", id=1), notification, 3, call("nope", id=2)])
        self.assertEqual(status, 200)
        self.assertEqual(
            [(item["id"], item.get("error", {}).get("code")) for item in answers], [(1, None), (None, -32600), (2, -32601)]
        )
        self.assertEqual(self.post([notification, {"jsonrpc": "2.0", "id": 4, "result": {}}]), (202, None))
        unheard = {"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "propose", "arguments": ARGUMENTS}}
        self.assertEqual(self.post(unheard), (202, None))
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_a_full_queue_is_the_tools_own_error(self) -> None:
        self.server.queue = supervise.Queue(self.folder, max_files=0)
        status, document = self.post(call("tools/call", {"name": "propose", "arguments": ARGUMENTS}))
        self.assertEqual((status, document["result"]["isError"]), (200, True))
        self.assertIn("wait already", document["result"]["content"][0]["text"])

    def test_http(self) -> None:
        self.assertEqual(self.ask("GET", "/health"), (200, {"status": "ok"}))
        self.assertEqual(self.ask("GET", "/")[0], 405)
        self.assertEqual(self.ask("GET", "/nowhere")[0], 404)
        self.assertEqual(self.ask("POST", "/nowhere", b"{}")[0], 404)
        self.assertEqual(self.ask("POST", "/", b"x" * (MAX_BODY_BYTES + 1))[0], 413)
        self.assertEqual(self.ask("POST", "/", Content_Length="-1")[0], 400)
        self.assertEqual(self.ask("POST", "/", b"2\r\n{}\r\n0\r\n\r\n", Transfer_Encoding="chunked")[0], 411)
        for method, path in (("POST", "/mcp"), ("GET", "/mcp")):
            self.assertEqual(self.ask(method, path, b"", Origin="http://evil.test", Accept="text/event-stream")[0], 403)

    def test_a_connection_serves_many_requests_beside_a_stream(self) -> None:
        stream = self.connect()
        stream.request("GET", "/", headers={"Accept": "application/json, text/event-stream"})
        events = stream.getresponse()
        self.assertEqual((events.status, events.getheader("Content-Type")), (200, "text/event-stream"))
        self.assertEqual(events.readline(), b": open\n")
        connection = self.connect()
        for id in range(3):
            connection.request("POST", "/mcp", json.dumps(call("ping", id=id)))
            self.assertEqual(json.load(connection.getresponse())["id"], id)

    def test_streams_are_bounded(self) -> None:
        streams = []
        for _ in range(MAX_STREAMS):
            connection = self.connect()
            connection.request("GET", "/", headers={"Accept": "text/event-stream"})
            streams.append(connection.getresponse())
            self.addCleanup(streams[-1].close)
            self.assertEqual(streams[-1].status, 200)
        self.assertEqual(self.ask("GET", "/", Accept="text/event-stream")[0], 503)
        self.assertEqual(self.ask("GET", "/health")[0], 200)

    def test_connections_are_bounded(self) -> None:
        for _ in range(MAX_CONNECTIONS):
            client = socket.create_connection(self.address, timeout=20)
            self.addCleanup(client.close)
            client.sendall(b"GET /health HTTP/1.1\r\n\r\n")
            self.assertIn(b"200", client.recv(100))
        with socket.create_connection(self.address, timeout=20) as beyond:
            self.assertEqual(beyond.recv(1), b"")


class AsAProcess(unittest.TestCase):
    def start(self, queue: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", "import supervise_server; supervise_server.serve(('127.0.0.1', 0))"],
            cwd=MODULES, env={**os.environ, "SUPERVISE_QUEUE": queue},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def test_a_signal_ends_it_with_0_while_a_client_is_connected(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            with tempfile.TemporaryDirectory() as queue:
                process = self.start(queue)
                assert process.stdout is not None
                port = int(process.stdout.readline().split(", ")[0].rpartition(":")[2])
                with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
                    client.sendall(b"GET / HTTP/1.1\r\nAccept: text/event-stream\r\n\r\n")
                    self.assertIn(b"200", client.recv(100))
                    process.send_signal(number)
                    self.assertEqual(process.wait(20), 0)

    def test_a_queue_that_cannot_be_used_ends_it(self) -> None:
        process = self.start("/nowhere")
        _, errors = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 1)
        self.assertIn("supervise: cannot start", errors)
        self.assertIn("/nowhere", errors)


if __name__ == "__main__":
    unittest.main()
