"""Becomes git daemon over the mirrors that the entrypoint has made."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from git_gate.limits import limits
from git_gate.report import LOG_VARIABLE, RefusedError, log, tell
from git_gate.scanner import find
from git_gate.sweep import sweep
from git_gate.turn import DAEMON_VARIABLE

REQUEST_SECONDS = 30
IDLE_SECONDS = 600
MOST_CONNECTIONS = 32
STARTING_SECONDS = 20


def main() -> None:
    """Sweeps the mirrors and replaces this process by git daemon. Exits with 1 if it cannot serve."""
    try:
        serve()
    except RefusedError as refused:
        tell(str(refused), lambda line: print(line, file=sys.stderr))
        sys.exit(1)


def serve() -> None:
    """The same. Raises RefusedError if it cannot serve."""
    base = Path(os.environ.get("GIT_GATE_BASE") or "/git")
    hooks = os.environ.get("GIT_GATE_HOOKS") or "/etc/git-gate"
    port = int(os.environ.get("GIT_GATE_PORT") or 9418)
    os.environ[LOG_VARIABLE] = str(os.dup2(2, 9, inheritable=True))
    os.environ[DAEMON_VARIABLE] = str(os.getpid())
    bounds = limits(os.environ)
    if find(os.environ) is None:
        log("gitleaks is missing, so every push will be refused")
    for repository in base.glob("*.git"):
        sweep(str(repository))
        subprocess.run(["git", "-C", repository, "config", "receive.maxInputSize", str(bounds.pack_bytes)], check=True)
    _can_listen(port)
    _announce(port)
    programs = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()
    # git daemon logs the client's own words, such as a repository's name with line ends in it: the hooks log instead.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    # Not by way of git, which would stay as a parent that a KILL takes away alone.
    # It starts itself anew for each connection, by the path that it was started by.
    program = f"{programs}/git-daemon"
    os.execv(
        program,
        [
            program, "--log-destination=none", "--informative-errors", "--reuseaddr", f"--port={port}",
            f"--init-timeout={REQUEST_SECONDS}", f"--timeout={IDLE_SECONDS}", f"--max-connections={MOST_CONNECTIONS}",
            f"--base-path={base}", "--enable=receive-pack", f"--access-hook={hooks}/access-hook", str(base),
        ],
    )  # fmt: skip


def _announce(port: int) -> None:
    """Logs, from a process of its own, when git daemon takes connections."""
    if os.fork() != 0:
        return
    for _ in range(STARTING_SECONDS * 20):
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            # git daemon's own words, which logs are searched for.
            log(f"listening on port {port}. Ready to rumble")
            break
        time.sleep(0.05)
    os._exit(0)


def _can_listen(port: int) -> None:
    """git daemon could not say that it cannot."""
    with socket.socket(socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("", port))
        except OSError as error:
            raise RefusedError(f"cannot listen on port {port}: {error.strerror}") from error
