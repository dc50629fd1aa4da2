"""The bundle's init as one writes it first, with the mistakes of docs/incidents.md.

- All daemons share one environment: docs/incidents.md#i4
- HUP has no handler: docs/incidents.md#i6
- The first death ends all: docs/incidents.md#i11
- It can restart git-gate only, on USR1, and waits for it in the handler: docs/incidents.md#i12
- The largest return code becomes the container's: docs/incidents.md#i13

Users, homes and listen addresses are right.
"""

import os
import selectors
import signal
import subprocess
import sys

GRACE = 3
MITMDUMP = "mitmdump --mode upstream:http://pipelock:8888 --listen-host 0.0.0.0 --listen-port 9099"
DAEMONS = {
    "egress": ("mitmproxy", f"{MITMDUMP} --scripts /app/egress_addon.py"),
    "pipelock": ("root", "/usr/local/bin/pipelock run --config /etc/pipelock/pipelock.yaml --listen 127.0.0.1:8888"),
    "git-gate": ("root", "/git-gate-entrypoint.sh"),
    "supervise": ("root", "python3 /app/supervise_server.py"),
}
HOMES = {"mitmproxy": "/home/mitmproxy", "root": "/root"}

running: dict[str, subprocess.Popen] = {}
output = selectors.DefaultSelector()
stopping: list[int] = []


def start(name: str) -> None:
    user, argv = DAEMONS[name]
    environment = {**os.environ, "HOME": HOMES[user]}
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "bufsize": 0}
    daemon = subprocess.Popen(argv.split(), user=user, group=user, extra_groups=[], env=environment, **pipe)
    output.register(daemon.stdout, selectors.EVENT_READ, name)
    running[name] = daemon


def end(name: str) -> None:
    daemon = running[name]
    daemon.terminate()
    try:
        daemon.wait(GRACE)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def restart(*_: object) -> None:
    end("git-gate")
    start("git-gate")


signal.signal(signal.SIGUSR1, restart)
signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
for name in DAEMONS:
    start(name)
while not stopping and all(daemon.poll() is None for daemon in running.values()):
    for key, _ in output.select(0.2):
        if line := key.fileobj.readline():
            print(f"[{key.data}] {line.decode(errors='replace').rstrip()}", flush=True)
        else:
            output.unregister(key.fileobj)
for name in running:
    end(name)
sys.exit(max(daemon.returncode for daemon in running.values()))
