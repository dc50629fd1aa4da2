"""The Dockerfiles as text: what they pin, what they copy, and that they say what the daemon table assumes.

Those of single daemons go once the bundle is the default; until then they are held to the same.
"""

import ast
import json
import re
import sys
import unittest
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CLASSIC = frozenset({"ARG", "FROM", "USER", "RUN", "COPY", "WORKDIR", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"})
PIN = re.compile(r"[a-z0-9./-]+:(?!latest)[A-Za-z0-9._-]+(@sha256:[0-9a-f]{64})?")


def expanded(source: str) -> list[str]:
    """What a source with a pattern copies; one without is itself."""
    if "*" not in source:
        return [source]
    return sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(source))


def module(path: Path) -> str:
    """What others import: a module, or the package that it is in."""
    return path.parent.name if (path.parent / "__init__.py").exists() else path.stem


@dataclass
class Stage:
    base: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def values(self, instruction: str) -> list[str]:
        return [value for name, value in self.instructions if name == instruction]

    def last(self, instruction: str) -> str | None:
        values = self.values(instruction)
        return values[-1] if values else None

    def copies(self) -> list[tuple[str | None, list[str], str]]:
        """Stage copied from, sources and target of each COPY."""
        found = []
        for words in (value.split() for value in self.values("COPY")):
            origin = words.pop(0).removeprefix("--from=") if words[0].startswith("--from=") else None
            sources = [name for word in words[:-1] for name in (expanded(word) if origin is None else [word])]
            found.append((origin, sources, words[-1]))
        return found


@dataclass
class Dockerfile:
    defaults: dict[str, str]
    stages: list[Stage]

    @classmethod
    def read(cls, path: Path) -> "Dockerfile":
        text = re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
        parsed = cls({}, [])
        for line in filter(None, map(str.strip, text.splitlines())):
            instruction, _, value = line.partition(" ")
            if instruction == "FROM":
                base, _, alias = value.partition(" AS ")
                parsed.stages.append(Stage(base, alias))
            elif parsed.stages:
                parsed.stages[-1].instructions.append((instruction, value.strip()))
            else:
                variable, _, default = value.partition("=")
                parsed.defaults[variable] = default
        return parsed

    @property
    def final(self) -> Stage:
        return self.stages[-1]


def lacking(copied: set[Path], provided: set[str]) -> set[str]:
    """Modules that the copied Python files import and that neither they nor the image provide."""
    imported: set[str] = set()
    for path in copied:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").split(".")[0])
    return imported - sys.stdlib_module_names - {module(path) for path in copied} - provided


class Dockerfiles(unittest.TestCase):
    def setUp(self) -> None:
        self.files = {path.suffix[1:]: Dockerfile.read(path) for path in ROOT.glob("Dockerfile.*")}

    def python(self, name: str) -> set[Path]:
        copies = self.files[name].final.copies()
        return {ROOT / source for _, sources, _ in copies for source in sources if source.endswith(".py")}

    def provided(self, name: str) -> set[str]:
        return {"mitmproxy", "h11"} if self.files[name].final.base == "${MITMPROXY_IMAGE}" else set()

    def test_each_base_is_an_argument_pinned_alike_everywhere(self) -> None:
        pins: dict[str, str] = {}
        for name, file in self.files.items():
            self.assertEqual({f"${{{argument}}}" for argument in file.defaults}, {stage.base for stage in file.stages}, name)
            for argument, default in file.defaults.items():
                self.assertRegex(default, re.compile(f"^{PIN.pattern}$"))
                self.assertEqual(pins.setdefault(argument, default), default)

    def test_the_classic_builder_can_build_them(self) -> None:
        for name, file in self.files.items():
            for stage in file.stages:
                for instruction, value in stage.instructions:
                    self.assertIn(instruction, CLASSIC, name)
                    self.assertNotIn("<<", value)
                    self.assertNotRegex(value, r"--(mount|chmod|chown|link|parents|exclude|network|security)\b")

    def test_what_is_copied_exists_and_reaches_the_builder(self) -> None:
        ignore = (ROOT / ".dockerignore").read_text().splitlines()
        for name, file in self.files.items():
            for at, stage in enumerate(file.stages):
                for origin, sources, target in stage.copies():
                    if origin is not None:
                        self.assertIn(origin, {earlier.name for earlier in file.stages[:at]}, name)
                        continue
                    self.assertTrue(len(sources) == 1 or target.endswith("/"), name)
                    for source in sources:
                        self.assertTrue((ROOT / source).exists(), f"{name}: {source}")
                        self.assertIn(f"!{source.split('/')[0]}", ignore)

    def test_a_copied_module_has_what_it_imports(self) -> None:
        for name in self.files:
            self.assertEqual(lacking(self.python(name), self.provided(name)), set(), name)
        own = {path for folder in (".", "git_gate") for path in (ROOT / "bot_bottle" / folder).glob("*.py")}
        self.assertEqual(self.python("sidecars"), own, "the bundle has all of them")

    def test_the_checker_knows_what_git_gate_runs_from(self) -> None:
        modules = {f"/app/git_gate/{path.name}" for path in (ROOT / "bot_bottle" / "git_gate").glob("*.py")}
        known = set(re.findall(r'"(/app/git_gate/[^"]*)"', (ROOT / "model/src/images.rs").read_text()))
        self.assertEqual(known, modules)

    def test_a_missing_import_would_be_seen(self) -> None:
        for name in ("yaml_subset", "egress_addon_core", "egress_addon_layers", "supervise", "supervise_rpc"):
            rest = {path for path in self.python("sidecars") if path.stem != name}
            self.assertEqual(lacking(rest, self.provided("sidecars")), {name})
        self.assertEqual(lacking(self.python("sidecars"), set()), {"mitmproxy", "h11"})

    def test_copied_programs_are_executable(self) -> None:
        for name in self.files.keys() & {"sidecars", "git-gate"}:
            copies = self.files[name].final.copies()
            scripts = {
                source
                for _, sources, _ in copies
                for source in sources
                if "git_gate" in source and Path(source).suffix != ".py"
            }
            self.assertEqual({Path(script).name for script in scripts}, {"entrypoint.sh", "access-hook", "pre-receive"})
            for script in scripts:
                self.assertTrue((ROOT / script).stat().st_mode & 0o111, script)

    def test_the_images_say_what_the_daemon_table_assumes(self) -> None:
        mitmdump = ["--mode", "regular", "--listen-host", "0.0.0.0", "--listen-port", "9099"]
        table = {
            "sidecars": ("root", "8888 9099 9418 9100", ["/usr/local/bin/sidecar-init"], None),
            "egress": ("mitmproxy", "9099", ["mitmdump"], [*mitmdump, "--scripts", "/app/egress_addon.py"]),
            "git-gate": ("root", "9418", ["/git-gate-entrypoint.sh"], None),
            "supervise": ("root", "9100", ["python3", "/app/supervise_server.py"], None),
        }
        self.assertIn("sidecars", self.files)
        for name, file in self.files.items():
            final = file.final
            entrypoint, cmd = (json.loads(final.last(key) or "null") for key in ("ENTRYPOINT", "CMD"))
            self.assertEqual((final.last("USER"), final.last("EXPOSE"), entrypoint, cmd), table[name], name)
            self.assertEqual(final.last("WORKDIR"), "/")

    def test_the_bundle_checks_itself_and_holds_the_binaries(self) -> None:
        final = self.files["sidecars"].final
        check = (final.last("HEALTHCHECK") or "").partition("CMD ")[2]
        self.assertEqual(json.loads(check), ["/usr/local/bin/sidecar-init", "check"])
        self.assertEqual(
            {(origin, *sources, target) for origin, sources, target in final.copies() if origin is not None},
            {
                ("pipelock", "/pipelock", "/usr/local/bin/pipelock"),
                ("gitleaks", "/usr/bin/gitleaks", "/usr/bin/gitleaks"),
                ("init", "/sidecar-init", "/usr/local/bin/sidecar-init"),
            },
        )
        made = " ".join(final.values("RUN"))
        for folder in (
            "/etc/pipelock", "/etc/egress", "/git-gate/creds", "/git", "/run/supervise/queue", "/home/mitmproxy/.mitmproxy",
        ):  # fmt: skip
            self.assertIn(f" {folder} ", made)


if __name__ == "__main__":
    unittest.main()
