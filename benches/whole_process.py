#!/usr/bin/env python3
"""Whole processes, measured in one run: prints figures and ratios, asserts nothing.

    cargo build --profile dist && benches/whole_process.py [--compose COMMAND]

Wall times are those of a busy machine too; the processor's (user and system, all threads) are disturbed less.
The system counts this script's own memory, about 15 MiB, as the least peak of what it starts: a smaller one is not seen.
"""

import argparse
import json
import os
import pathlib
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOL = ROOT / "target" / "dist" / "bottle-migrate"
FULL = ROOT / "examples" / "full.plan.json"


class Cost(NamedTuple):
    """Of one process, or of several: seconds of the clock, seconds of processors, peak resident KiB."""

    wall: float
    cpu: float
    peak: int


def run(*commands: list[str]) -> Cost:
    """Runs commands one after the other."""
    wall = cpu = peak = 0
    for command in commands:
        start = time.perf_counter()
        child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        error = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        wall += time.perf_counter() - start
        cpu += usage.ru_utime + usage.ru_stime
        peak = max(peak, usage.ru_maxrss)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode not in (0, 1):
            sys.exit(f"{command[0]} exited with {child.returncode}: {error.decode(errors='replace')}")
    return Cost(wall, cpu, peak)


def several(rounds: int, *commands: list[str]) -> Cost:
    """Medians of the times and the highest peak, after a round that counts for nothing; prints the least too."""
    run(*commands)
    costs = [run(*commands) for _ in range(rounds)]
    wall = statistics.median(cost.wall for cost in costs)
    cpu = statistics.median(cost.cpu for cost in costs)
    peak = max(cost.peak for cost in costs)
    least = min(cost.wall for cost in costs)
    print(f"  {wall * 1000:9.2f} ms, at least {least * 1000:.2f}; cpu {cpu * 1000:.2f} ms; peak {peak / 1024:.1f} MiB")
    return Cost(wall, cpu, peak)


def compose_command(given: str | None) -> list[str] | None:
    if given:
        return shlex.split(given)
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    probe = ["docker", "compose", "version"]
    if shutil.which("docker") and subprocess.run(probe, capture_output=True, check=False).returncode == 0:
        return ["docker", "compose"]
    return None


def distinct_plans(folder: pathlib.Path, count: int) -> None:
    """Plans that differ in their slug, in every host path and in some of what they set."""
    text = FULL.read_text()
    slug = json.loads(text)["slug"]
    for number in range(count):
        plan = json.loads(text.replace(slug, f"{slug}-{number}"))
        plan["agent"]["environment"][f"VARIABLE_{number % 97}"] = f"value {number}"
        plan["git-gate"]["extra_hosts"]["forge.internal"] = f"192.0.{number % 250}.{number // 250}"
        plan["pipelock"]["limits"] = {"memory": (64 + number % 31) << 20}
        (folder / f"{number:05}.json").write_text(json.dumps(plan, indent=2 if number % 2 else None))


def one_plan(tool: str, compose: list[str] | None) -> None:
    print(f"diff {FULL.relative_to(ROOT)}")
    ours = several(40, [tool, "diff", str(FULL)])
    if compose is None:
        print("SKIPPED: no Compose to compare with; name one with --compose", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as folder:
        commands = []
        for shape in ("legacy", "bundle"):
            file = f"{folder}/{shape}.yaml"
            run([tool, "render", "--shape", shape, "-o", file, str(FULL)])
            commands.append([*compose, "-f", file, "config"])
        print(f"{shlex.join(compose)} config, of the two files")
        theirs = several(10, *commands)
    print(f"  {theirs.wall / ours.wall:9.1f} x the time of diff; cpu {theirs.cpu / ours.cpu:.1f} x")


def many_plans(tool: str) -> None:
    with tempfile.TemporaryDirectory() as hundred, tempfile.TemporaryDirectory() as many:
        distinct_plans(pathlib.Path(hundred), 100)
        distinct_plans(pathlib.Path(many), 10_000)
        for form in ("human", "json", "github"):
            print(f"diff --format {form}, of 100 plans, then of 10,000")
            small = several(5, [tool, "diff", "--format", form, hundred])
            large = several(5, [tool, "diff", "--format", form, many])
            print(f"  {large.cpu / 10:9.3f} ms of cpu for a plan; peak {large.peak / small.peak:.2f} x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--compose", metavar="COMMAND", help="real Compose, if it is not docker-compose or docker compose")
    arguments = parser.parse_args()
    if not TOOL.exists():
        sys.exit("build first: cargo build --profile dist")
    one_plan(str(TOOL), compose_command(arguments.compose))
    many_plans(str(TOOL))


if __name__ == "__main__":
    main()
