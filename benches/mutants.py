#!/usr/bin/env python3
"""How many faults of the renderers are noticed: by `diff`, or by a named test.

    benches/mutants.py [--every N] [--crates bundle legacy model] [--target-dir DIR]

Each mutant is one small change of one line: a call left out, a condition or a truth turned round, a text or a number
changed, a function that returns nothing. All of them are compiled into one binary, and the environment variable MUTANT
switches one on, so that a mutant costs a run and not a build. A change that does not compile is dropped.

For each mutant: does `diff` of the plans (and of their legacy files, as compose sources) find something else than
without it? If not, does a unit test of the crates, or a test of the integration binary that is quick, fail? What is
left changes what is rendered and nobody notices: a survivor, which is listed. A mutant under which every plan renders
as before is counted apart.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
QUICK = [
    "golden::",
    "witness::",
    "rendering::",
    "verdicts::",
    "merging::",
    "advice::",
    "incidents::",
    "sensitivity::",
    "squares::",
]
SWITCH = """//! Switches one mutant on.

use std::sync::LazyLock;

static MUTANT: LazyLock<Option<u32>> = LazyLock::new(|| std::env::var("MUTANT").ok()?.parse().ok());

/// Whether a mutant is on.
pub fn on(number: u32) -> bool {
    *MUTANT == Some(number)
}

/// A text, or another one.
pub fn text(number: u32, text: &'static str, other: &'static str) -> &'static str {
    if on(number) { other } else { text }
}
"""

CALL = re.compile(r"^(\s+)((?:self\.)?[\w.]+(?:\.\w+\([^;]*\))*\.(?:insert|push|push_str|extend|retain|append)\(.*\));$")
CONDITION = re.compile(r"^(\s*(?:\} else )?if )((?!let\b)[^{|]+?)( \{.*)$")
TEXT = re.compile(r'(?<![\w#\\"])(?<!!\()"((?:[^"\\{}]|\\.)+)"')
LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"')
TRUTH = re.compile(r"(?<=[(, ])(true|false)(?=[),;])")
NUMBER = re.compile(r"(?<![\w.\"])(\d+)(?=[),;]| as\b)")
BODY = re.compile(r"^(\s*)(?:pub(?:\([a-z]+\))? )?fn [^;]*-> [^;]*\{$")


def candidates(line: str, number: int, switch: str) -> list[tuple[str, str]]:
    """Mutants of a line: what is done, and the line with a switch in it."""
    on = f"{switch}::on({number})"
    found = []
    if match := CALL.match(line):
        found.append(("leave out", f"{match[1]}if !{on} {{ {match[2]}; }}"))
    if match := CONDITION.match(line):
        found.append(("turn round", f"{match[1]}({match[2]}) != {on}{match[3]}"))
    if BODY.match(line):
        found.append(("return nothing", f"{line} if {on} {{ return Default::default(); }}"))
    quoted = [match.span() for match in LITERAL.finditer(line)]

    def code(match: re.Match[str]) -> bool:
        return not any(start <= match.start() < end for start, end in quoted)

    for match in TEXT.finditer(line):
        other = f'{switch}::text({number}, "{match[1]}", "{match[1]}x")'
        found.append((f'change "{match[1]}"', line[: match.start()] + other + line[match.end() :]))
    flipped = (
        (f"flip {match[1]}", line[: match.start()] + f"({match[1]} != {on})" + line[match.end() :])
        for match in filter(code, TRUTH.finditer(line))
    )
    found.extend(flipped)
    for match in filter(code, NUMBER.finditer(line)):
        more = f"(if {on} {{ {match[1]} + 1 }} else {{ {match[1]} }})"
        found.append((f"increase {match[1]}", line[: match.start()] + more + line[match.end() :]))
    return found


class Tree:
    """A copy of the repository with a switch in each of its mutants."""

    def __init__(self, folder: Path, crates: list[str], every: int, target: Path) -> None:
        self.folder, self.target = folder, target
        subprocess.run(["rm", "-rf", str(folder)], check=True)
        folder.mkdir(parents=True)
        archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
        subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
        (folder / "model/src/mutant.rs").write_text(SWITCH)
        library = folder / "model/src/lib.rs"
        library.write_text(library.read_text() + "\n#[doc(hidden)]\npub mod mutant;\n")
        # (file, line) → (number, what, mutated line)
        self.mutants: dict[tuple[Path, int], tuple[int, str, str]] = {}
        self.originals: dict[Path, list[str]] = {}
        number = 0
        for crate in crates:
            for path in sorted((folder / crate / "src").rglob("*.rs")):
                if path.name in ("tests.rs", "mutant.rs", "sorted.rs"):
                    continue
                lines = path.read_text().split("\n")
                self.originals[path] = lines
                switch = "crate::mutant" if crate == "model" else "bottle_model::mutant"
                for at, line in enumerate(lines):
                    if line.startswith("#[cfg(test)]"):
                        break
                    if re.match(r"\s*(//|#\[|use |pub use |const |static |pub const )", line):
                        continue
                    for way in range(len(candidates(line, 0, switch))):
                        number += 1
                        if number % every == 0 and (path, at) not in self.mutants:
                            what, mutated = candidates(line, number, switch)[way]
                            self.mutants[(path, at)] = (number, what, mutated)

    def write(self) -> None:
        for path, lines in self.originals.items():
            new = [self.mutants[(path, at)][2] if (path, at) in self.mutants else line for at, line in enumerate(lines)]
            path.write_text("\n".join(new))

    def cargo(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "CARGO_TARGET_DIR": str(self.target)}
        environment.pop("MUTANT", None)
        command = ["cargo", *arguments, "--message-format=json"]
        return subprocess.run(command, cwd=self.folder, env=environment, text=True, capture_output=True, check=False)

    def settle(self) -> None:
        """Drops what does not compile."""
        packages = [word for crate in ("bottle-model", "bottle-legacy", "bottle-bundle") for word in ("-p", crate)]
        for _ in range(40):
            self.write()
            ran = self.cargo("check", *packages)
            if ran.returncode == 0:
                return
            before = len(self.mutants)
            for message in filter(None, map(parsed, ran.stdout.splitlines())):
                if message.get("reason") != "compiler-message" or message["message"]["level"] != "error":
                    continue
                for span in message["message"]["spans"]:
                    path = self.folder / span["file_name"]
                    for at in range(span["line_start"] - 1, span["line_end"]):
                        self.mutants.pop((path, at), None)
            if len(self.mutants) == before:
                sys.exit(ran.stderr[-3000:])
        sys.exit("the mutants do not compile")

    def binaries(self) -> dict[str, Path]:
        built = {}
        for arguments in (
            ["test", "--no-run", "--test", "integration"],
            ["test", "--no-run", "-p", "bottle-bundle", "-p", "bottle-legacy", "-p", "bottle-model", "--lib"],
        ):
            ran = self.cargo(*arguments)
            if ran.returncode != 0:
                sys.exit(ran.stderr[-3000:])
            for message in filter(None, map(parsed, ran.stdout.splitlines())):
                if message.get("reason") == "compiler-artifact" and message.get("executable"):
                    kind = "test" if message["profile"]["test"] else "run"
                    built[f"{message['target']['name']} {kind}"] = Path(message["executable"])
        return built


def parsed(line: str) -> dict[str, Any] | None:
    """A message of cargo; `None` for any other line."""
    try:
        message = json.loads(line)
    except json.JSONDecodeError:
        return None
    return message if isinstance(message, dict) else None


def plans(folder: Path) -> list[Path]:
    """The examples, and each of them without one of its optional parts or with another setting."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for example in sorted((ROOT / "examples").glob("*.plan.json")):
        plan = json.loads(example.read_text())
        variants: dict[str, dict[str, Any]] = {"": {}}
        if example.name == "full.plan.json":
            for key in ("egress", "git-gate", "supervise"):
                variants[f"without-{key}"] = {key: None}
            variants["egress-first"] = {"chain": "egress-first"}
            variants["off"] = {"isolation": "off"}
            variants["prefix"] = {"prefix": "claude-bottle"}
        for name, changes in variants.items():
            other = {key: value for key, value in {**plan, **changes}.items() if value is not None}
            path = folder / f"{example.name.removesuffix('.plan.json')}{name and '-' + name}.json"
            path.write_text(json.dumps(other))
            found.append(path)
    return found


class Judge:
    """Runs the binaries with one mutant on."""

    def __init__(self, built: dict[str, Path], inputs: list[Path]) -> None:
        self.program = built["bottle-migrate run"]
        self.units = [path for name, path in built.items() if name.startswith("bottle_") and name.endswith(" test")]
        self.integration = built["integration test"]
        self.inputs = inputs

    def run(self, command: list[str], mutant: int | None) -> subprocess.CompletedProcess[str] | None:
        environment = dict(os.environ)
        environment.pop("MUTANT", None)
        if mutant is not None:
            environment["MUTANT"] = str(mutant)
        try:
            return subprocess.run(
                command, cwd=ROOT, env=environment, text=True, capture_output=True, timeout=300, check=False
            )
        except subprocess.TimeoutExpired:
            return None

    def compared(self, mutant: int | None) -> tuple[set[str], set[str]]:
        """What `diff` finds, and which of it are errors."""
        ran = self.run([str(self.program), "diff", *map(str, self.inputs), "--format", "json", "--unredacted"], mutant)
        if ran is None or not ran.stdout.strip():
            return ({"no report"}, {"no report"})
        keys = ("file", "rule", "principal", "subject", "severity", "before", "after")
        findings = json.loads(ran.stdout)["findings"]
        shown = {json.dumps([finding.get(key) for key in keys]): finding["severity"] for finding in findings}
        errors = {text for text, severity in shown.items() if severity == "error"}
        # A file that could not be compared is told on stderr.
        return (set(shown) | set(ran.stderr.splitlines()), errors | set(ran.stderr.splitlines()))

    def rendered(self, mutant: int | None) -> list[str]:
        outputs = []
        for source in self.inputs:
            for shape in ("legacy", "bundle"):
                ran = self.run([str(self.program), "render", str(source), "--shape", shape], mutant)
                outputs.append(ran.stdout + ran.stderr if ran else "no end")
        return outputs

    def failing(self, mutant: int | None) -> str | None:
        """The first test that fails."""
        for binary, filters in [(unit, []) for unit in self.units] + [(self.integration, QUICK)]:
            ran = self.run([str(binary), *filters], mutant)
            if ran is None:
                return f"{binary.name}: no end"
            if ran.returncode != 0:
                failed = re.findall(r"^test (\S+) \.\.\. FAILED", ran.stdout, re.MULTILINE)
                return failed[0] if failed else binary.name
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="try one mutant in N")
    parser.add_argument("--crates", nargs="+", default=["bundle", "legacy", "model"])
    parser.add_argument("--target-dir", type=Path, default=ROOT / "target/mutants/target")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    tree = Tree(ROOT / "target/mutants/tree", options.crates, options.every, options.target_dir.resolve())
    candidates_found = len(tree.mutants)
    tree.settle()
    built = tree.binaries()
    inputs = plans(ROOT / "target/mutants/plans")
    judge = Judge(built, inputs)
    sources = []
    for plan in inputs:
        ran = judge.run([str(judge.program), "render", str(plan), "--shape", "legacy"], None)
        source = plan.with_suffix(".yaml")
        source.write_text(ran.stdout if ran else "")
        sources.append(source)
    judge.inputs = inputs + sources
    base, rendered, failing = judge.compared(None), judge.rendered(None), judge.failing(None)
    if failing:
        sys.exit(f"{failing} fails without a mutant")

    def verdict(mutant: tuple[int, str, str]) -> tuple[str, str]:
        number = mutant[0]
        compared = judge.compared(number)
        if compared[0] != base[0]:
            return ("an error of diff" if compared[1] - base[1] else "a finding of diff", "")
        test = judge.failing(number)
        if test:
            return ("a test", test)
        return ("nobody" if judge.rendered(number) != rendered else "nobody, and renders the same", "")

    counts: Counter[str] = Counter()
    mutants = sorted(tree.mutants.items(), key=lambda item: item[1][0])
    with ThreadPoolExecutor(options.jobs) as pool:
        verdicts = pool.map(verdict, (mutant for _, mutant in mutants))
        for ((path, at), (number, what, _)), (who, test) in zip(mutants, verdicts, strict=True):
            counts[who] += 1
            place = f"{path.relative_to(tree.folder)}:{at + 1}"
            print(f"{number} {place} {what}: {who} {test}".rstrip(), flush=True)
    print(f"{candidates_found} candidates, {len(mutants)} compile")
    for who, count in counts.most_common():
        print(f"{count:5} noticed by {who}")
    sys.exit(1 if counts["nobody"] else 0)


if __name__ == "__main__":
    main()
