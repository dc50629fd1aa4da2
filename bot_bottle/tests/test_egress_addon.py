"""egress_addon against as much of mitmproxy as it touches: what it does to flows, and when it reads its routes."""

import asyncio
import logging
import os
import signal
import sys
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock


class Headers(dict[str, str]):
    """mitmproxy's headers, with names in lower case and one value each."""

    def __setitem__(self, name: str, value: str) -> None:
        super().__setitem__(name.lower(), value)

    def get_all(self, name: str) -> list[str]:
        return [self[name]] if name in self else []


def response(status: int, content: str, _headers: dict[str, str]) -> SimpleNamespace:
    return SimpleNamespace(status_code=status, content=content, stream=False)


OPTIONS = SimpleNamespace()


def stand_in() -> dict[str, ModuleType]:
    modules = {name: ModuleType(name) for name in ("mitmproxy", "mitmproxy.addonmanager")}
    modules["mitmproxy.addonmanager"].__dict__["Loader"] = object
    modules["mitmproxy"].__dict__.update(
        ctx=SimpleNamespace(options=OPTIONS),
        http=SimpleNamespace(HTTPFlow=object, Response=SimpleNamespace(make=response)),
        tcp=SimpleNamespace(TCPFlow=object),
    )
    return modules


with mock.patch.dict(sys.modules, stand_in()):
    import egress_addon

ROUTES = "routes:\n  - host: api.test\n    token: EGRESS_TOKEN_0\n  - host: open.test\n"


def flow(destination: str, sni: str | None = None, **headers: str) -> Any:
    request = SimpleNamespace(
        method="GET",
        scheme="https",
        host=destination,
        port=443,
        path="/x",
        authority="",
        stream=False,
        headers=Headers(headers),
    )
    return SimpleNamespace(request=request, response=None, client_conn=SimpleNamespace(sni=sni))


class Addon(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.routes = Path(folder.name) / "routes.yaml"
        self.ca = Path(folder.name) / "upstream-ca.pem"
        self.routes.write_text(ROUTES)
        self.addon = egress_addon.Egress(self.routes, self.ca)
        vars(OPTIONS).clear()
        for patch in (
            mock.patch.dict(os.environ, {"EGRESS_TOKEN_0": "zero"}),
            mock.patch.object(egress_addon._log, "disabled", True),
        ):
            patch.start()
            self.addCleanup(patch.stop)

    def running(self, do: Callable[[], None]) -> None:
        """Runs with the addon loaded, inside an event loop as mitmdump does."""

        async def inside() -> None:
            self.addon.load(mock.Mock())
            try:
                do()
                await asyncio.sleep(0)
            finally:
                self.addon.done()

        asyncio.run(inside())

    def send(self, destination: str, **parts: str) -> Any:
        sent = flow(destination, **parts)
        self.addon.requestheaders(sent)
        return sent

    def test_an_allowed_request_loses_the_agents_credentials_and_gains_the_routes(self) -> None:
        def do() -> None:
            sent = self.send("api.test", host="API.test:443", authorization="agent", accept="*/*")
            self.assertIsNone(sent.response)
            self.assertEqual(sent.request.headers["authorization"], "Bearer zero")
            self.assertTrue(sent.request.stream)
            plain = self.send("open.test", **{"authorization": "agent", "proxy-authorization": "agent", "accept": "*/*"})
            self.assertEqual(plain.request.headers, {"accept": "*/*"})

        self.running(do)

    def test_a_denied_request_gets_403_and_no_token(self) -> None:
        def do() -> None:
            for sent in (
                self.send("evil.test"), self.send("api.test", host="evil.test"), self.send("api.test", sni="evil.test"),
            ):  # fmt: skip
                self.assertEqual(sent.response.status_code, 403)
                self.assertTrue(sent.response.content.startswith("egress: "))
                self.assertNotIn("authorization", sent.request.headers)
                self.assertFalse(sent.request.stream)
            for host, denied in (("evil.test", True), ("api.test", False)):
                tunnel = flow(host)
                self.addon.http_connect(tunnel)
                self.assertEqual(tunnel.response is not None, denied)

        self.running(do)

    def test_before_any_routes_and_when_a_decision_fails_everything_is_denied(self) -> None:
        self.assertEqual(self.send("open.test").response.status_code, 403)

        def do() -> None:
            broken = flow("open.test")
            del broken.request.path
            self.addon.requestheaders(broken)
            self.assertEqual(broken.response.status_code, 403)

        self.running(do)

    def test_what_is_not_http_is_cut(self) -> None:
        tcp = mock.Mock()
        self.addon.tcp_start(tcp)
        tcp.kill.assert_called_once_with()

    def test_responses_are_streamed(self) -> None:
        answered = flow("open.test")
        self.addon.responseheaders(answered)
        answered.response = response(200, "", {})
        self.addon.responseheaders(answered)
        self.assertTrue(answered.response.stream)

    def test_an_upstream_ca_is_trusted_if_there_is_one(self) -> None:
        self.running(lambda: None)
        self.assertEqual(vars(OPTIONS), {})
        self.ca.touch()
        self.running(lambda: None)
        self.assertEqual(OPTIONS.ssl_verify_upstream_trusted_ca, str(self.ca))

    def test_unusable_routes_end_the_start(self) -> None:
        for text in ("rootes: []", "routes: []\n#" + "x" * egress_addon.MAX_ROUTES_BYTES, "\udcff"):
            self.routes.write_text(text, errors="surrogateescape")
            with self.assertRaisesRegex(SystemExit, f"cannot start: {self.routes}"):
                self.running(lambda: None)
        self.routes.unlink()
        with self.assertRaisesRegex(SystemExit, "cannot start: .*routes.yaml"):
            self.running(lambda: None)

    def test_hup_takes_new_routes_and_keeps_the_last_good_ones(self) -> None:
        read = self.addon._read
        reloads: asyncio.Queue[None] = asyncio.Queue()

        def reading() -> Any:
            reloads.put_nowait(None)
            return read()

        async def inside() -> None:
            self.addon.load(mock.Mock())
            for text, allowed in (("routes: []", False), (ROUTES, True), ("routes: [", True), (None, True)):
                if text is None:
                    self.routes.unlink()
                else:
                    self.routes.write_text(text)
                with mock.patch.object(self.addon, "_read", reading):
                    os.kill(os.getpid(), signal.SIGHUP)
                    await reloads.get()
                self.assertEqual(self.send("open.test").response is None, allowed)
            self.addon.done()

        asyncio.run(asyncio.wait_for(inside(), 20))

    def test_a_failed_reload_and_a_missing_token_are_logged(self) -> None:
        def do() -> None:
            self.routes.write_text("routes:\n  - host: api.test\n    token: EGRESS_TOKEN_1\n")
            with self.assertLogs("egress", logging.WARNING) as logs:
                self.addon.reload()
                self.routes.write_text("rootes: []")
                self.addon.reload()
            self.assertIn("EGRESS_TOKEN_1 is not set", logs.output[0])
            self.assertIn("last good ones stay", logs.output[1])
            self.assertIn("line 1: rootes", logs.output[1])

        egress_addon._log.disabled = False
        self.running(do)


if __name__ == "__main__":
    unittest.main()
