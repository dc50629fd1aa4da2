"""Runs gitleaks over documents, and takes its word only where it found the canary of every window."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import re
import subprocess
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from git_gate.limits import Budget
from git_gate.report import RefusedError, log, printable
from git_gate.unpack import layers
from git_gate.windows import OVERLAP, SIZE, Batch, Document, cut

NOBODY = 65534
FOUND = 42
MOST_PROCESSES = 4
WINDOWS = 24
"""Windows of a batch: starting gitleaks costs as much as scanning some."""
WINDOWS_AHEAD = 10
"""Windows of the batch for a process that was started ahead. Its pipe has to have room for them."""
MEMORY = "128MiB"
"""What a gitleaks process may use before it collects garbage."""

# A private key that is longer than a window has no end that gitleaks could see. The group leaves out header lines, which
# gitleaks' own list of harmless texts looks into.
RULES = r"""
[[rules]]
id = "git-gate-canary"
regex = '''CANARY[.][0-9]+'''
keywords = ["CANARY"]
[[rules]]
id = "private-key-start"
regex = '''-----BEGIN[ A-Z0-9_-]{0,100}PRIVATE KEY(?: BLOCK)?-----\s*(?:[\w-]+:.*\s+)*([\w+/]{60,})'''
keywords = ["-----begin"]
"""


class Finding(NamedTuple):
    """A secret that gitleaks found."""

    rule: str
    match: str
    document: Document
    line: bytes


class Scanner:
    """Feeds documents to as many gitleaks processes as the machine can run at once."""

    def __init__(self, budget: Budget, environment: Mapping[str, str]) -> None:
        """Takes the bytes that may be scanned."""
        self.budget = budget
        self._environment = environment
        # In short pieces: gitleaks would take a long one for base64, and scan its window once more, decoded.
        self._canary = "git-gate-canary." + ".".join(os.urandom(4).hex() for _ in range(4))
        self._most = min(MOST_PROCESSES, os.cpu_count() or 1)
        self._running: deque[tuple[subprocess.Popen[bytes], Batch]] = deque()
        self._findings: list[Finding] = []
        self._ran = False
        self._own = environment.get("GITLEAKS_CONFIG"), environment.get("GITLEAKS_CONFIG_TOML")
        self._known = "" if any(self._own) else _known_secret()
        self._ahead: tuple[subprocess.Popen[bytes], int] | None = None
        self._batch = self._new_batch()

    def start_ahead(self) -> None:
        """Starts gitleaks before there is anything to scan, because its start takes longer than a small push.

        Where that fails it is started later, and that says why.
        """
        reading, writing = os.pipe()
        try:
            process = self._spawn(reading)
        except RefusedError:
            os.close(writing)
            return
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, WINDOWS_AHEAD * SIZE)
        self._ahead = process, writing
        self._batch = self._new_batch(WINDOWS_AHEAD)

    def add(self, document: Document, text: bytes) -> None:
        """Scans a text, and whatever can be unpacked from it."""
        self.budget.spend(len(text))
        self._fill(document, text)
        for layer in layers(text, self.budget):
            self._fill(document, layer)

    def finish(self) -> list[Finding]:
        """Waits for gitleaks. Raises RefusedError if any of it was not scanned for certain."""
        if not (self._batch.empty and self._ran):
            self._start()
        while self._running:
            self._collect()
        return self._findings

    def stop(self) -> None:
        """Ends the processes that still run."""
        ahead = self._take_ahead(b"")
        for process in [*(process for process, _ in self._running), *([ahead] if ahead else [])]:
            process.kill()
            process.communicate()
        self._running.clear()

    def _new_batch(self, windows: int = WINDOWS) -> Batch:
        return Batch(self._canary, self._known, windows)

    def _fill(self, document: Document, text: bytes) -> None:
        if len(text) >= self._batch.room < 2 * OVERLAP:
            self._turn()
        for piece in cut(text, self._batch.room):
            if len(piece) >= self._batch.room:
                self._turn()
            self._batch.add(document, piece)

    def _turn(self) -> None:
        self._batch.turn()
        if self._batch.full:
            self._start()

    def _start(self) -> None:
        self._ran = True
        while len(self._running) >= self._most:
            self._collect()
        batch, self._batch = self._batch, self._new_batch()
        batch.finish()
        data = b"".join(batch.windows)
        self._running.append((self._take_ahead(data) or self._spawn(_in_memory(data)), batch))

    def _take_ahead(self, data: bytes) -> subprocess.Popen[bytes] | None:
        """Gives data to the process that was started ahead, if there is one."""
        if self._ahead is None:
            return None
        (process, pipe), self._ahead = self._ahead, None
        with suppress(BrokenPipeError), open(pipe, "wb") as stream:
            stream.write(data)
        return process

    def _spawn(self, input: int) -> subprocess.Popen[bytes]:
        """Starts gitleaks for what a descriptor has, and closes that. Raises RefusedError if it cannot be started."""
        program = find(self._environment)
        passed: list[int] = []
        try:
            if program is None:
                raise RefusedError("gitleaks is missing, so the push cannot be scanned")
            source, passed = self._config()
            try:
                return self._start_as(program, NOBODY, input, source, passed)
            except PermissionError:
                # A container may not let root change its user, or keep the program where others cannot see it.
                return self._start_as(program, None, input, source, passed)
        except OSError as error:
            raise RefusedError(f"gitleaks cannot be started, so the push cannot be scanned: {error.strerror}") from error
        finally:
            for descriptor in (input, *passed):
                os.close(descriptor)

    def _start_as(
        self, program: str, user: int | None, input: int, config: str, passed: list[int]
    ) -> subprocess.Popen[bytes]:
        other = user if os.geteuid() == 0 else None
        return subprocess.Popen(
            [
                program, "stdin", "--no-banner", "--no-color", "--log-level", "error", "--ignore-gitleaks-allow",
                "--gitleaks-ignore-path", "/nonexistent", "--exit-code", str(FOUND), "--report-format", "json",
                "--report-path", "-",
            ],
            stdin=input,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env={
                "PATH": self._environment.get("PATH", ""), "GITLEAKS_CONFIG_TOML": config,
                # Collecting garbage costs a third of a start, so it waits until memory gets short.
                "GOGC": "off", "GOMEMLIMIT": MEMORY,
            },
            pass_fds=passed,
            user=other,
            group=other,
            extra_groups=None if other is None else [],
        )  # fmt: skip

    def _config(self) -> tuple[str, list[int]]:
        """gitleaks' configuration: the default one, or the operator's own, and the canary's rule."""
        path, text = self._own
        passed: list[int] = []
        extended = "useDefault = true"
        if path or text:
            try:
                with open(path or os.devnull, "rb") as file:
                    own = file.read() if path else (text or "").encode()
            except OSError as error:
                raise RefusedError(f"gitleaks' configuration cannot be read: {error.strerror}") from error
            passed = [_in_memory(own)]
            extended = f'path = "/proc/self/fd/{passed[0]}"'
        return f"[extend]\n{extended}\n{RULES.replace('CANARY', self._canary)}", passed

    def _collect(self) -> None:
        process, batch = self._running[0]
        report, errors = process.communicate()
        self._running.popleft()
        if process.returncode != FOUND:
            log(f"gitleaks: {printable(errors)}")
            why = "found nothing, not even the canary" if process.returncode == 0 else f"failed ({process.returncode})"
            raise RefusedError(f"gitleaks {why}, so the push is not taken")
        try:
            self._take(json.loads(report), batch)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RefusedError("gitleaks' report cannot be read, so the push is not taken") from error

    def _take(self, report: list[dict[str, Any]], batch: Batch) -> None:
        """Splits a report into canaries, which all have to be there, and findings."""
        ends: dict[int, int] = {}
        others: list[dict[str, Any]] = []
        known = False
        for item in report:
            match = str(item["Match"])
            if item["RuleID"] == "git-gate-canary" and match.startswith(f"{self._canary}."):
                ends[int(match.rpartition(".")[2])] = int(item["StartLine"])
            elif self._known and self._known in match:
                known = True
            else:
                others.append(item)
        if sorted(ends) != list(range(len(batch.windows))) or known != bool(self._known):
            raise RefusedError("gitleaks did not find every canary, so the push is not taken")
        for item in others:
            line = int(item["StartLine"])
            window = next((number for number, end in sorted(ends.items()) if line <= end), len(ends) - 1)
            # gitleaks counts lines in its own way: the canary says by how much that differs.
            spot = batch.spot(window, line + batch.ends[window] - ends[window])
            self._findings.append(Finding(str(item["RuleID"]), str(item["Match"]), spot.document, spot.line))


def find(environment: Mapping[str, str]) -> str | None:
    """Where gitleaks is on the PATH."""
    for folder in environment.get("PATH", "").split(":"):
        program = f"{folder}/gitleaks"
        if folder and os.access(program, os.X_OK):
            return program
    return None


def _known_secret() -> str:
    """A token that gitleaks' default rules have to find; it is valid nowhere."""
    while True:
        token = base64.b64encode(os.urandom(120), b"xy").decode()[:36]
        if len(set(token)) > 18 and not re.search("true|false|null", token, re.IGNORECASE):
            return f"ghp_{token}"


def _in_memory(data: bytes) -> int:
    """A file without a name, at its start."""
    descriptor = os.memfd_create("git-gate")
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
