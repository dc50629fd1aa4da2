"""Every attack on supervise, against the server as a process, each with its control."""

from __future__ import annotations

import json
import os
import re
import select
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import supervise_server
from supervise_server import MAX_CONNECTIONS, PROBE_SECONDS, REQUEST_SECONDS

from . import supervise

MODULES = Path(supervise_server.__file__).parent
PROBE = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Served(unittest.TestCase):
    """A server of its own for each test; QUICK makes a request's deadline a second."""

    QUICK = ""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.queue = Path(folder.name)
        self.start()

    def start(self) -> None:
        code = f"import supervise_server; {self.QUICK}supervise_server.serve(('127.0.0.1', 0))"
        self.server = subprocess.Popen(
            [sys.executable, "-c", code], cwd=MODULES, env={**os.environ, "SUPERVISE_QUEUE": str(self.queue)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.addCleanup(self.server.communicate)
        self.addCleanup(self.server.kill)
        assert self.server.stdout is not None
        self.port = int(self.server.stdout.readline().split(b", ")[0].rpartition(b":")[2])

    def connect(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        self.addCleanup(client.close)
        return client

    def ask(self, request: bytes) -> tuple[int, bytes, bytes]:
        """Status, headers and body of the first answer."""
        with self.connect() as client:
            client.sendall(request)
            answer = b""
            while b"\r\n\r\n" not in answer and (chunk := client.recv(65_536)):
                answer += chunk
            head, _, body = answer.partition(b"\r\n\r\n")
            length = re.search(rb"Content-Length: ([0-9]+)", head)
            while length and len(body) < int(length[1]) and (chunk := client.recv(65_536)):
                body += chunk
            status = re.match(rb"HTTP/1.1 ([0-9]{3}) ", head)
            return int(status[1]) if status else 0, head, body

    def proposals(self) -> int:
        return len(list(self.queue.glob("*.json")))

    def log(self) -> str:
        self.server.terminate()
        return self.server.communicate(timeout=20)[1].decode()


class Requests(Served):
    def test_every_attack_is_refused_and_its_control_is_served(self) -> None:
        names = [attack.name for attack in supervise.ALL]
        self.assertEqual(len(names), len(set(names)))
        for attack in supervise.ALL:
            with self.subTest(attack=attack.name):
                before = self.proposals()
                status, head, body = self.ask(attack.attack)
                self.assertEqual(status, attack.status, body)
                self.assertIn(b"Content-Type: application/json", head)
                error = json.loads(body)["error"]
                self.assertIn(attack.error, error["message"] if attack.error else str(error))
                self.assertEqual(self.proposals(), before)
                status, _, body = self.ask(attack.control)
                self.assertEqual(status, attack.served, body)
                self.assertEqual(self.proposals() - before, b"propose" in attack.control)
        for line in self.log().splitlines():
            self.assertRegex(line, r"\Asupervise: [ -~]*\Z")
        print(f"supervise: {len(names)} named attacks by request", file=sys.stderr)


class Floods(Served):
    QUICK = "supervise_server.REQUEST_SECONDS = 1; supervise_server.PROBE_SECONDS = 1; "

    def closed_after(self, client: socket.socket, send: bytes) -> float:
        """Seconds until the server ends a connection to which bytes drip."""
        started = time.monotonic()
        while time.monotonic() - started < 20:
            try:
                client.sendall(send)
            except OSError:
                break
            if select.select([client], [], [], 0.2)[0] and not client.recv(65_536):
                break
        return time.monotonic() - started

    def test_a_request_that_drips_is_ended(self) -> None:
        for name, start, drip in (
            ("request line", b"GET ", b"/"), ("headers", b"GET /health HTTP/1.1\r\nX: ", b"x"),
            ("header after header", b"GET /health HTTP/1.1\r\n", b"X: x\r\n"),
            ("body", supervise.post(b"").replace(b"Length: 0", b"Length: 1000"), b" "),
            ("refused body", supervise.post(b"").replace(b"Length: 0", b"Length: 2000000"), b" "),
        ):  # fmt: skip
            with self.subTest(name):
                client = self.connect()
                client.sendall(start)
                self.assertLess(self.closed_after(client, drip), 10)
        self.assertGreater(REQUEST_SECONDS, 5, "control: in use, an honest request has more time")
        self.assertEqual(self.ask(PROBE)[0], 200)

    def test_a_connection_that_waits_between_requests_is_not(self) -> None:
        client = self.connect()
        for _ in range(2):
            client.sendall(PROBE)
            answer = b""
            while not answer.endswith(b"}"):
                answer += client.recv(65_536)
            self.assertFalse(select.select([client], [], [], 1.5)[0])

    def test_the_probe_is_answered_whatever_clients_take(self) -> None:
        kinds = {"silent": b"", "half a request": b"GET /hea", "half a body": supervise.post(b"x" * 99)[:-9], "idle": PROBE}
        for name, sent in kinds.items():
            with self.subTest(name):
                clients = [self.connect() for _ in range(MAX_CONNECTIONS + 30)]
                for client in clients:
                    try:
                        client.sendall(sent)
                    except OSError:
                        continue
                for _ in range(5):
                    self.assertEqual(self.ask(PROBE)[0], 200)
                for client in clients:
                    client.close()

    def test_beyond_the_limit_nothing_but_the_probe_is_served(self) -> None:
        clients = [self.connect() for _ in range(MAX_CONNECTIONS)]
        for client in clients:
            client.sendall(PROBE)
            self.assertIn(b"200", client.recv(65_536))
        status, _, body = self.ask(supervise.post(supervise.propose()))
        self.assertEqual((status, json.loads(body)), (503, {"error": "Service Unavailable"}))
        self.assertEqual(self.proposals(), 0)
        for client in clients:
            client.close()
        deadline = time.monotonic() + 20
        while self.ask(supervise.post(supervise.propose()))[0] == 503 and time.monotonic() < deadline:
            continue
        self.assertEqual(self.proposals(), 1, "control: it is served once a connection is free")
        self.assertGreater(PROBE_SECONDS, 1)


class FullQueue(Served):
    def setUp(self) -> None:
        super().setUp()
        for number in range(999):
            (self.queue / f"{number}.json").touch()

    def test_the_answer_and_the_log_say_so_and_the_oldest_stay(self) -> None:
        def text() -> str:
            result = json.loads(self.ask(supervise.post(supervise.propose()))[2])["result"]
            return f"{result['isError']} {result['content'][0]['text']}"

        self.assertIn("False Proposal", text(), "control: one more fits")
        self.assertIn("True Not queued: the queue is full: 1000 proposals wait already", text())
        self.assertEqual(self.proposals(), 1_000)
        self.assertTrue((self.queue / "0.json").exists())
        self.assertIn("supervise: a proposal is refused: the queue is full: 1000 proposals wait already\n", self.log())


class StrayFolder(Served):
    def setUp(self) -> None:
        super().setUp()
        self.log()
        for name in (".stray.tmp", "stray.json", "stray"):
            (self.queue / name).mkdir()
        (self.queue / ".half.tmp").touch()
        self.start()

    def test_it_starts_and_takes_proposals(self) -> None:
        self.assertEqual(self.ask(supervise.post(supervise.propose()))[0], 200)
        self.assertEqual(self.proposals(), 2, "the folder and the proposal")
        self.assertTrue((self.queue / ".stray.tmp").is_dir())
        self.assertFalse((self.queue / ".half.tmp").exists(), "control: what a crash left is swept")


if __name__ == "__main__":
    unittest.main()
