#!/usr/bin/env python3
"""sidecar-init beside what a user would pick instead, measured in one run: prints figures and ratios, asserts nothing.

    RUSTFLAGS="-C target-feature=+crt-static" \\
        cargo build --profile dist -p sidecar-init --target x86_64-unknown-linux-gnu
    benches/sidecar_init.py

runit, s6 and supervisord are measured where they are installed (Debian: runit, s6, supervisor); what is missing is
named. Throughput is taken on every core, as users have it, and on one, where writer, init and reader share it.
"""

import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
INIT = ROOT / "target" / "x86_64-unknown-linux-gnu" / "dist" / "sidecar-init"
MEGABYTES = 400
ROUNDS = 5

# Writes lines of 100 bytes as fast as it can.
WRITER = f"import os\nb = (b'x' * 99 + b'\\n') * 640\nfor _ in range({MEGABYTES} * 1000000 // len(b)): os.write(1, b)\n"

# An init as one writes it first: a thread for each stream, a line at a time.
SKETCH = """
import subprocess, sys, threading
def pump(name, stream):
    for line in stream:
        sys.stdout.buffer.write(b"[" + name + b"] " + line)
        sys.stdout.buffer.flush()
children = [subprocess.Popen(argv.split("\\x1f"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for argv in sys.argv[1:]]
threads = [threading.Thread(target=pump, args=(b"d%d" % n, c.stdout)) for n, c in enumerate(children)]
[t.start() for t in threads]
import signal
signal.signal(signal.SIGTERM, lambda *_: [c.terminate() for c in children])
for c in children: c.wait()
[t.join() for t in threads]
"""


def table(folder: pathlib.Path, rows: list[tuple[str, list[str], str]]) -> pathlib.Path:
    path = folder / "daemons.toml"
    text = "".join(
        f"[[daemon]]\nname = {name!r}\nargv = {argv!r}\n{more}\n" for name, argv, more in rows
    )
    path.write_text(text)
    return path


def environment(isolation: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "BOT_BOTTLE_SIDECAR_ISOLATION": isolation}


def pipeline(argv: list[str], env: dict[str, str] | None = None) -> float:
    """Seconds until a reader has everything that a command prints."""
    start = time.perf_counter()
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env)
    reader = subprocess.Popen(["cat"], stdin=child.stdout, stdout=subprocess.DEVNULL)
    child.stdout.close()
    child.wait()
    reader.wait()
    return time.perf_counter() - start


def throughput(folder: pathlib.Path) -> None:
    writer = folder / "writer.py"
    writer.write_text(WRITER)
    write = [sys.executable, str(writer)]
    ours = [str(INIT), "--daemons", str(table(folder, [("egress", write, "")]))]
    sketch = [sys.executable, "-c", SKETCH, "\x1f".join(write)]
    floor = ["sh", "-c", f"{sys.executable} {writer} | cat"]
    every = os.sched_getaffinity(0)
    for cores in (every, {min(every)}):
        os.sched_setaffinity(0, cores)
        names = {"cat | cat": (floor, None), "sidecar-init": (ours, environment("off")), "a first sketch in Python": (sketch, None)}
        seconds: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(ROUNDS):
            for name, (argv, env) in names.items():
                seconds[name].append(pipeline(argv, env))
        base = statistics.median(seconds["cat | cat"])
        print(f"throughput, lines of 100 bytes, {MEGABYTES} MB, {len(cores)} core(s), median of {ROUNDS}:")
        for name, times in seconds.items():
            median = statistics.median(times)
            print(f"  {name:18} {MEGABYTES / median:7.0f} MB/s   {base / median:5.2f} of cat | cat")
    os.sched_setaffinity(0, every)


def spawning(folder: pathlib.Path) -> None:
    """By the daemons' own word: each says the time at which it runs, as one that is started alone does."""
    now = ["date", "+%s.%N"]
    walls = ["private = ['/etc/ssl/private']", "private = ['/srv']", "private = ['/var/opt']", "connect = []"]
    init = [str(INIT), "--daemons", str(table(folder, [(f"d{n}", now, more) for n, more in enumerate(walls)]))]
    print("from the init's exec to the last of four daemons that runs, above one that runs alone:")
    for isolation in ("off", "require"):
        above = []
        for _ in range(10 * ROUNDS):
            times = []
            for argv in (init, now):
                start = time.time()
                said = subprocess.run(argv, capture_output=True, text=True, env=environment(isolation)).stdout
                times.append(max(float(line.split()[-1]) for line in said.splitlines()) - start)
            above.append(1000 * (times[0] - times[1]))
        print(f"  {isolation:18} {statistics.median(above):7.1f} ms, at least {min(above):.1f}")


def idle_rows() -> list[tuple[str, list[str], str]]:
    sleep = ["sleep", "100000"]
    return [
        ("egress", sleep, "private = ['/etc/ssl/private']\nuser = 'nobody'"),
        ("pipelock", sleep, "private = ['/srv']"),
        ("git-gate", sleep, "private = ['/var/opt']"),
        ("supervise", sleep, "connect = []"),
    ]


def children(pid: int) -> list[int]:
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def field(path: str, name: str) -> int:
    for line in pathlib.Path(path).read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise ValueError(name)


def tree(pid: int) -> list[int]:
    return [pid] + [below for child in children(pid) for below in tree(child)]


def supervisors(pid: int) -> list[int]:
    """The supervisor's own processes: all below it but the daemons."""
    is_daemon = lambda p: pathlib.Path(f"/proc/{p}/cmdline").read_bytes().startswith(b"sleep")
    return [p for p in tree(pid) if not is_daemon(p)]


def wait_for(holds, what: str) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        if time.monotonic() > deadline:
            sys.exit(f"in vain: {what}")
        time.sleep(0.0005)


def daemons(pid: int) -> int:
    try:
        return len(tree(pid)) - len(supervisors(pid))
    except OSError:
        return 0


def one_life(argv: list[str], env: dict[str, str] | None, stop: int) -> tuple[float, float, int, int]:
    """Milliseconds until four daemons run, milliseconds of the stop, RSS and PSS in kilobytes."""
    start = time.perf_counter()
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
    wait_for(lambda: daemons(child.pid) == 4, f"{argv[0]} starts four daemons")
    up = time.perf_counter() - start
    time.sleep(0.2)
    own = supervisors(child.pid)
    rss = sum(field(f"/proc/{p}/status", "VmRSS:") for p in own)
    pss = sum(field(f"/proc/{p}/smaps_rollup", "Pss:") for p in own)
    everyone = tree(child.pid)
    start = time.perf_counter()
    child.send_signal(stop)
    child.wait()
    wait_for(lambda: not any(os.path.exists(f"/proc/{p}") for p in everyone), "the daemons end")
    return up * 1000, (time.perf_counter() - start) * 1000, rss, pss


def run_scripts(services: pathlib.Path) -> pathlib.Path:
    """Four idle services in the layout that runit and s6 share."""
    for name in "abcd":
        script = services / name / "run"
        script.parent.mkdir(parents=True)
        script.write_text("#!/bin/sh\nexec sleep 100000\n")
        script.chmod(0o755)
    return services


def alternatives(folder: pathlib.Path):
    """Name, command, and the signal that stops it."""
    if shutil.which("runsvdir"):
        services = run_scripts(folder / "runit")
        # HUP, not TERM: TERM leaves the services running.
        yield "runit", ["runsvdir", str(services)], signal.SIGHUP
    else:
        print("  runit: not installed, not measured")
    if shutil.which("s6-svscan"):
        services = run_scripts(folder / "s6")
        yield "s6", ["s6-svscan", str(services)], signal.SIGTERM
    else:
        print("  s6: not installed, not measured")
    if shutil.which("supervisord"):
        config = folder / "supervisord.conf"
        programs = "".join(f"[program:{n}]\ncommand=sleep 100000\nstartsecs=0\n" for n in "abcd")
        config.write_text(f"[supervisord]\nnodaemon=true\nuser=root\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile={folder}/pid\n{programs}")
        yield "supervisord", ["supervisord", "-c", str(config)], signal.SIGTERM
    else:
        print("  supervisord: not installed, not measured")
    yield "a first sketch in Python", [sys.executable, "-c", SKETCH, *["sleep\x1f100000"] * 4], signal.SIGTERM


def lives(folder: pathlib.Path) -> None:
    print("four idle daemons: start, obedient stop, memory of the supervisor (all its processes):")
    ours = [str(INIT), "--daemons", str(table(folder, idle_rows()))]
    every = [
        ("sidecar-init, off", ours, signal.SIGTERM, environment("off")),
        ("  require", ours, signal.SIGTERM, environment("require")),
    ]
    every += [(name, argv, stop, None) for name, argv, stop in alternatives(folder)]
    for name, argv, stop, env in every:
        runs = [one_life(argv, env, stop) for _ in range(ROUNDS)]
        up, down, rss, pss = (statistics.median(column) for column in zip(*runs))
        print(f"  {name:18} up {up:7.1f} ms   down {down:7.1f} ms   RSS {rss:6.0f} kB   PSS {pss:6.0f} kB")


def wakeups(folder: pathlib.Path) -> None:
    argv = [str(INIT), "--daemons", str(table(folder, idle_rows()))]
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment("require"))
    wait_for(lambda: daemons(child.pid) == 4, "four daemons")
    time.sleep(1)
    count = lambda: field(f"/proc/{child.pid}/status", "voluntary_ctxt_switches:")
    before = count()
    time.sleep(5)
    print(f"wake-ups of the idle init in 5 s: {count() - before}")
    child.terminate()
    child.wait()


def main() -> None:
    if not INIT.is_file():
        sys.exit(f"{INIT} is missing; the head of this script says how to build it")
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        root.chmod(0o755)
        spawning(root)
        lives(root)
        wakeups(root)
        throughput(root)


if __name__ == "__main__":
    main()
