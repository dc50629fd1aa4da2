#!/usr/bin/env python3
"""A bottle's `up` and `down` in both shapes, alternating, on a real engine: prints medians and ratios, asserts nothing.

    cargo build --profile dist && tests/live/tools/build && tests/live/engine/up && benches/bottle.py [ROUNDS]

`up` lasts until every sidecar is healthy. Memory is what the engine counts for the sidecars' containers right after.
"""

import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIVE = ROOT / "target" / "live"
TOOL = ROOT / "target" / "dist" / "bottle-migrate"
SHAPES = ("legacy", "bundle")
ENVIRONMENT = {
    **os.environ,
    "DOCKER_HOST": f"unix://{LIVE}/engine/docker.sock",
    "BOT_BOTTLE_PIPELOCK_IMAGE": "bottle-live/pipelock-used",
    "EGRESS_TOKEN_0": "tok-0f7QmZ2xLp9rVw4cKd81",
}
UNITS = {"B": 1 / 1024**2, "KiB": 1 / 1024, "MiB": 1, "GiB": 1024}


def run(*argv: object) -> str:
    return subprocess.run([str(word) for word in argv], env=ENVIRONMENT, check=True, capture_output=True, text=True).stdout


def plan(folder: pathlib.Path) -> pathlib.Path:
    """A bottle that uses every daemon, with what it mounts."""
    for name in ("ca", "queue"):
        (folder / name).mkdir()
    os.chown(folder / "ca", 1000, 1000)
    (folder / "routes.yaml").write_text("routes:\n  - host: api.example.org\n")
    (folder / "pipelock.yaml").write_text("mode: strict\napi_allowlist: [api.example.org]\nforward_proxy: {enabled: true}\n")
    for name in ("ca.pem", "ca-key.pem", "id_ed25519", "known_hosts"):
        (folder / name).touch()
    for name in ("entrypoint.sh", "pre-receive", "access-hook"):
        shutil.copy(ROOT / "bot_bottle" / "git_gate" / name, folder / name)
    at = lambda name: str(folder / name)
    path = folder / "plan.json"
    path.write_text(json.dumps({
        "schema": "bottle-migrate/plan/1", "slug": "bench", "isolation": "require",
        "agent": {"image": "bottle-live/debian", "command": ["sleep", "infinity"], "init": True},
        "pipelock": {"config": at("pipelock.yaml"), "ca_cert": at("ca.pem"), "ca_key": at("ca-key.pem")},
        "egress": {"routes": at("routes.yaml"), "ca_dir": at("ca"), "tokens": ["EGRESS_TOKEN_0"]},
        "git-gate": {
            "entrypoint": at("entrypoint.sh"), "pre_receive": at("pre-receive"), "access_hook": at("access-hook"),
            "credentials": {"id_ed25519": at("id_ed25519"), "known_hosts": at("known_hosts")},
        },
        "supervise": {"queue": at("queue")},
    }))  # fmt: skip
    return path


def memory() -> float:
    """MiB of every container but the agent's."""
    lines = run("docker", "stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}").splitlines()
    total = 0.0
    for line in lines:
        name, used = line.split()[:2]
        number, unit = re.fullmatch(r"([\d.]+)(\w+)", used).groups()
        total += float(number) * UNITS[unit] if name.endswith("-bench") and name != "bot-bottle-bench" else 0
    return total


def size(*images: str) -> float:
    """MB of images together: a layer that they share is saved once."""
    with subprocess.Popen(["docker", "save", *images], env=ENVIRONMENT, stdout=subprocess.PIPE) as saved:
        total = sum(len(chunk) for chunk in iter(lambda: saved.stdout.read(1 << 20), b""))
    if saved.returncode:
        raise SystemExit(saved.returncode)
    return total / 1e6


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    figures: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        bottle = plan(folder)
        for shape in SHAPES:
            run(TOOL, "render", bottle, "--shape", shape, "-o", folder / f"{shape}.yaml")
        for _ in range(rounds):
            for shape in SHAPES:
                compose = (LIVE / "docker-compose", "--file", folder / f"{shape}.yaml")
                start = time.perf_counter()
                run(*compose, "up", "--detach", "--wait")
                figures.setdefault((shape, "up, s"), []).append(time.perf_counter() - start)
                figures.setdefault((shape, "memory, MiB"), []).append(memory())
                start = time.perf_counter()
                run(*compose, "down")
                figures.setdefault((shape, "down, s"), []).append(time.perf_counter() - start)
    print(f"medians of {rounds} alternating rounds")
    for what in ("up, s", "down, s", "memory, MiB"):
        legacy, bundle = (statistics.median(figures[shape, what]) for shape in SHAPES)
        print(f"  {what:12} legacy {legacy:8.2f}   bundle {bundle:8.2f}   ratio {bundle / legacy:5.2f}")
    legacy = size("bottle-live/pipelock-used", *(f"bot-bottle-{name}" for name in ("egress", "git-gate", "supervise")))
    bundle = size("bot-bottle-sidecars")
    print(f"  {'images, MB':12} legacy {legacy:8.0f}   bundle {bundle:8.0f}   ratio {bundle / legacy:5.2f}")


if __name__ == "__main__":
    main()
