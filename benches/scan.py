#!/usr/bin/env python3
"""Measures `scan-tests` on a generated tree beside ripgrep with the same literals; prints ratios of one run.

    benches/scan.py [--files 5000] [--megabytes 60] [--rounds 7]

Needs `cargo build --profile dist` and ripgrep.
"""

import argparse
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "target/dist/bottle-migrate"
# What src/scan/discover/prefilter.rs looks for before it parses.
LITERALS = [
    "pipelock", "git-gate", "git_gate", "gitgate", "egress", "supervise", "sidecar_bundle", "dockerfile.",
    "com.docker.compose.service", "bot_bottle_sidecar_bundle", "bot-bottle", "bot_bottle", "claude-bottle",
    "claude_bottle", "services)", 'services"', "services'", "five", "four ", "sidecar", "-services ",
]
REFERENCES = [
    'name = f"bot-bottle-egress-{slug}"',
    'subprocess.run(["docker", "restart", pipelock_container_name(slug)], check=True)',
    'assert services["git-gate"]["image"]',
    'URL = "http://supervise:9100/"',
]


def words(seed: random.Random) -> list[str]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    return ["".join(seed.choices(letters, k=seed.randint(2, 10))) for _ in range(3000)]


def generate(root: pathlib.Path, files: int, size: int, share: float) -> int:
    seed = random.Random(24)
    known = words(seed)
    with_references = 0
    for number in range(files):
        lines = []
        length = 0
        while length < size:
            line = "    " * seed.randint(0, 3) + f"{seed.choice(known)} = {seed.choice(known)}({', '.join(seed.choices(known, k=6))})"
            lines.append(line.strip() if seed.random() < 0.5 else f"# {line.strip()}")
            length += len(lines[-1]) + 1
        if seed.random() < share:
            with_references += 1
            for reference in REFERENCES:
                lines[seed.randrange(len(lines))] = reference
        folder = root / f"package{number % 50}"
        folder.mkdir(exist_ok=True)
        (folder / f"module{number}.py").write_text("\n".join(lines) + "\n")
    return with_references


def timed(command: list[str], codes: tuple[int, ...]) -> tuple[float, float]:
    """Seconds that a command takes, and its peak memory in MiB."""
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    # What the child itself used; `RUSAGE_CHILDREN` has the highest of all children.
    _, status, usage = os.wait4(child.pid, 0)
    elapsed = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in codes:
        sys.exit(f"{command[0]}: exit {child.returncode}")
    return elapsed, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--megabytes", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--share", type=float, default=0.02, help="of the files that hold references")
    arguments = parser.parse_args()
    ripgrep = shutil.which("rg")
    if ripgrep is None or not PROGRAM.exists():
        sys.exit("needs ripgrep (apt-get install ripgrep) and `cargo build --profile dist`")
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        size = arguments.megabytes * 1_000_000 // arguments.files
        holding = generate(root, arguments.files, size, arguments.share)
        ours = [str(PROGRAM), "--root", name, "scan-tests", "--format", "json"]
        theirs = [ripgrep, "--hidden", "--ignore-case", "--fixed-strings", "--line-number"]
        theirs += [part for literal in LITERALS for part in ("-e", literal)] + [name]
        times = {"ours": [], "ripgrep": []}
        peaks = {"ours": 0.0, "ripgrep": 0.0}
        # The first round warms the page cache.
        for number in range(arguments.rounds + 1):
            for label, command in (("ours", ours), ("ripgrep", theirs)):
                elapsed, peak = timed(command, (0, 1))
                peaks[label] = max(peaks[label], peak)
                if number:
                    times[label].append(elapsed)
    medians = {label: statistics.median(rounds) for label, rounds in times.items()}
    print(f"{arguments.files} files, {arguments.megabytes} MB, {holding} of them with references, {arguments.rounds} rounds")
    for label, median in medians.items():
        least = min(times[label])
        print(f"{label:8} median {median * 1000:7.0f} ms  least {least * 1000:7.0f} ms  peak {peaks[label]:5.0f} MiB")
    print(f"ratio    {medians['ours'] / medians['ripgrep']:.2f} x ripgrep")


if __name__ == "__main__":
    main()
