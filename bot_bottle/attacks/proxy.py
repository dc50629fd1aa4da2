"""A mitmdump to attack: guarded by the addon, or without it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

from .origin import Origin, Upstream

MODULES = Path(__file__).resolve().parents[1]
MITMDUMP = os.environ.get("MITMDUMP", str(MODULES.parent / "target/live/mitmproxy/bin/mitmdump"))
START = 180.0
"""Seconds for mitmdump to listen."""
ROUTES = """
routes:
  - host: api.test
    paths:
      - /admin
    methods:
      - GET
    token: EGRESS_TOKEN_0
  - host: api.test
    methods:
      - GET
      - POST
    token: EGRESS_TOKEN_1
  - host: open.test
  - host: some.test
    paths:
      - /pub
  - host: ws.test
    websocket: true
  - host: dns.test
    ports:
      - 53
"""
TOKENS = {"EGRESS_TOKEN_0": "token-of-admin", "EGRESS_TOKEN_1": "token-of-rest"}


class Mitmdump:
    """One process. ``chain`` is regular or upstream; an option is NAME=VALUE, or --ARGUMENT=VALUE."""

    def __init__(
        self,
        origin: Origin,
        upstream: Upstream,
        chain: str,
        *options: str,
        guarded: bool = True,
        routes: str = ROUTES,
        preamble: str = "",
        modules: Path = MODULES,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="attacked-")
        folder = Path(self._folder.name)
        self.routes = folder / "routes.yaml"
        self.routes.write_text(routes)
        self.decisions = folder / "decisions"
        script = folder / "egress.py"
        script.write_text(
            f"import sys\nfrom pathlib import Path\nsys.path.insert(0, {str(modules)!r})\nfrom egress_addon import Egress\n"
            f"DECISIONS = {str(self.decisions)!r}\n{preamble}\n"
            f"addons = [Egress(Path({str(self.routes)!r}), Path({str(origin.ca)!r}))]\n"
        )
        mode = "regular" if chain == "regular" else f"upstream:http://127.0.0.1:{upstream.port}"
        words = [MITMDUMP, "--mode", mode, "--listen-host", "127.0.0.1", "--listen-port", "0"]
        words += ["--scripts", str(script)] if guarded else ["--set", f"ssl_verify_upstream_trusted_ca={origin.ca}"]
        # One CA for all, made once.
        words += ["--set", f"confdir={origin.ca.parent / 'mitmproxy'}"]
        for option in options:
            words += option.split("=", 1) if option.startswith("--") else ["--set", option]
        self.log_path = folder / "log"
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(MODULES / "attacks/names"), "ATTACKED_PORTS": json.dumps(origin.ports), **TOKENS,
        }  # fmt: skip
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, env=environment)
        self.ports = origin.ports
        self.port = self._listening()

    def log(self) -> bytes:
        """What it has printed so far."""
        return self.log_path.read_bytes()

    def memory(self) -> tuple[int, int]:
        """Bytes of memory: what it has now, and its peak since the last call."""
        folder = Path(f"/proc/{self.process.pid}")
        sizes = dict(re.findall(r"(\w+):\s+(\d+) kB", (folder / "status").read_text()))
        (folder / "clear_refs").write_text("5")
        return int(sizes["VmRSS"]) << 10, int(sizes["VmHWM"]) << 10

    def close(self) -> None:
        """Ends it."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._folder.cleanup()

    def _listening(self) -> int:
        deadline = time.monotonic() + START
        while time.monotonic() < deadline:
            if match := re.search(rb"listening at .*:(\d+)", self.log()):
                return int(match[1])
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        text = self.log().decode(errors="replace")
        code = self.process.poll()
        self.close()
        raise NotListeningError(f"mitmdump does not listen, exit code {code}: {text}")


class NotListeningError(Exception):
    """mitmdump ended, or did not listen in time; the message has what it printed."""
