#!/usr/bin/env python3
"""Whole processes, measured in one run: prints figures and ratios, asserts nothing.

    cargo build --release && benches/whole_process.py
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOL = ROOT / "target" / "release" / "bottle-migrate"
FULL = ROOT / "examples" / "full.plan.json"


def run(argv: list[str], cwd: pathlib.Path = ROOT) -> tuple[float, int]:
    """Seconds and peak resident kilobytes of one process."""
    start = time.perf_counter()
    child = subprocess.Popen(argv, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    error = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in (0, 1):
        sys.exit(f"{argv[0]} exited with {child.returncode}: {error.decode(errors='replace')}")
    return seconds, usage.ru_maxrss


def median(argv: list[str], rounds: int, cwd: pathlib.Path = ROOT) -> float:
    run(argv, cwd)
    return statistics.median(run(argv, cwd)[0] for _ in range(rounds))


def distinct_plans(folder: pathlib.Path, count: int) -> None:
    """Plans that differ in their slug and in every host path."""
    text = FULL.read_text()
    slug = json.loads(text)["slug"]
    for number in range(count):
        (folder / f"{number:05}.json").write_text(text.replace(slug, f"{slug}-{number}"))


def main() -> None:
    if not TOOL.exists():
        sys.exit("build first: cargo build --release")
    tool = str(TOOL)
    diff = median([tool, "diff", "-q", str(FULL)], 40)
    print(f"diff examples/full.plan.json    {diff * 1000:8.2f} ms")

    with tempfile.TemporaryDirectory() as hundred, tempfile.TemporaryDirectory() as many:
        distinct_plans(pathlib.Path(hundred), 100)
        distinct_plans(pathlib.Path(many), 10_000)
        _, small = run([tool, "diff", "-q", hundred])
        times, peaks = zip(*(run([tool, "diff", "-q", many]) for _ in range(5)))
        print(f"diff of 10,000 plans            {statistics.median(times):8.2f} s")
        print(f"peak memory, 10,000 plans       {max(peaks) / 1024:8.1f} MiB  {max(peaks) / small:6.2f} x that of 100")


if __name__ == "__main__":
    main()
