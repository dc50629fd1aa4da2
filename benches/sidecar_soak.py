#!/usr/bin/env python3
"""Restarts a daemon of sidecar-init many times while others flood the log and leave orphans; prints memory and
descriptors on the way. They have to stay flat.

    cargo build --release -p sidecar-init
    benches/sidecar_soak.py [RESTARTS] [INIT]
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESTARTS = int(sys.argv[1]) if len(sys.argv) > 1 else 60_000
INIT = sys.argv[2] if len(sys.argv) > 2 else str(ROOT / "target" / "release" / "sidecar-init")
STEPS = 12

FLOOD = "while :; do echo 'a line of the log that is neither short nor long, and goes on for ever'; done"
ORPHANS = "while :; do (setsid sleep 0.01 &); done"


def ask(pid: int, request: object) -> object:
    namespace = os.readlink("/proc/self/ns/pid")
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(f"\0sidecar-init {namespace} {pid}")
        stream.sendall(json.dumps(request).encode() + b"\n")
        stream.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := stream.recv(65536):
            answer += chunk
    return json.loads(answer)


def size(pid: int) -> tuple[int, int]:
    """Resident memory in kB, and open descriptors."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    rss = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    return rss, len(os.listdir(f"/proc/{pid}/fd"))


def until_it_answers(init: subprocess.Popen) -> None:
    while init.poll() is None:
        try:
            ask(init.pid, "status")
            return
        except ConnectionRefusedError:
            time.sleep(0.01)
    sys.exit(f"the init has ended with {init.returncode}")


def main() -> None:
    rows = [("restarted", ["sleep", "1000"]), ("flood", ["sh", "-c", FLOOD]), ("orphans", ["sh", "-c", ORPHANS])]
    with tempfile.TemporaryDirectory() as folder:
        table = pathlib.Path(folder, "daemons.toml")
        table.write_text("".join(f"[[daemon]]\nname = {name!r}\nargv = {argv!r}\n" for name, argv in rows))
        environment = {"PATH": os.environ["PATH"], "BOT_BOTTLE_SIDECAR_ISOLATION": "require"}
        init = subprocess.Popen([INIT, "--daemons", str(table)], stdout=subprocess.DEVNULL, env=environment)
        until_it_answers(init)
        start = time.monotonic()
        for step in range(STEPS + 1):
            rss, descriptors = size(init.pid)
            seconds = time.monotonic() - start
            print(f"{step * RESTARTS // STEPS:7} restarts {seconds:7.1f} s   RSS {rss} kB   {descriptors} descriptors", flush=True)
            for number in range(RESTARTS // STEPS if step < STEPS else 0):
                try:
                    answer = ask(init.pid, {"restart": {"daemon": "restarted"}})
                except (OSError, ValueError) as error:
                    ended = init.poll()
                    sys.exit(f"restart {step * RESTARTS // STEPS + number}: {error}; exit code of the init: {ended}")
                if "done" not in answer:
                    sys.exit(f"a restart failed: {answer}")
        init.terminate()
        print(f"exit code {init.wait()}")


if __name__ == "__main__":
    main()
