"""A git-gate for tests: the real scripts, git and git daemon, in front of bare repositories on this machine.

ssh and gitleaks are stand-ins on PATH. ssh notes how it was called, so a test can say that nobody was contacted.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO
from unittest import TestCase

SCRIPTS = Path(__file__).resolve().parents[1] / "git_gate"
SECRET = "planted" + "-secret"

SSH = """#!/bin/sh
printf '%s\\n' "$*" >>"$GATE_CALLS"
[ ! -e "$GATE_CALLS.down" ] || { echo 'ssh: connect to host forge.test port 22: Connection refused' >&2; exit 255; }
unset $(git rev-parse --local-env-vars) GIT_QUARANTINE_PATH
for command; do :; done
exec sh -c "$command"
"""

GITLEAKS = f"""#!/bin/sh
[ "$1" = stdin ] || exit 9
grep -anoE 'git-gate-canary[.0-9a-f]+|ghp_[A-Za-z0-9]{{36}}|{SECRET}' | awk -F: '
    BEGIN {{ printf "[" }}
    {{
        rule = $2 ~ /^git-gate/ ? "git-gate-canary" : $2 ~ /^ghp/ ? "github-pat" : "planted-rule"
        printf "%s{{\\"RuleID\\": \\"%s\\", \\"StartLine\\": %d, \\"Match\\": \\"%s\\"}}", (NR > 1 ? "," : ""), rule, $1, $2
    }}
    END {{ print "]" }}'
exit 42
"""


class Gate:
    """Folders of one gate, and the environment that its processes run in."""

    def __init__(self, case: TestCase, scripts: Path = SCRIPTS) -> None:
        folder = tempfile.TemporaryDirectory()
        case.addCleanup(folder.cleanup)
        self._case = case
        self._scripts = scripts
        self.root = Path(folder.name)
        self.hooks, self.creds, self.bin = (self.root / name for name in ("hooks", "creds", "bin"))
        for path in (self.hooks, self.creds, self.bin):
            path.mkdir()
        for name in ("access-hook", "pre-receive"):
            shutil.copy(scripts / name, self.hooks / name)
        for name in ("id_ed25519", "known_hosts"):
            (self.creds / name).touch()
        self.calls = self.root / "ssh-calls"
        self.calls.touch()
        # The one that runs the tests: a wrapper around it on PATH may take longer than a hook.
        (self.bin / "python3").symlink_to(Path(sys.executable).resolve())
        self.program("ssh", SSH)
        self.program("gitleaks", GITLEAKS)
        self.environment = {
            "PATH": f"{self.bin}:{os.environ['PATH']}", "HOME": folder.name, "GATE_CALLS": str(self.calls),
            "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@test", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@test",
            "GIT_SSH_COMMAND": "false", "GIT_SSH": "false",
            "GIT_GATE_BASE": f"{self.root}/git", "GIT_GATE_HOOKS": str(self.hooks), "GIT_GATE_CREDS": str(self.creds),
        }  # fmt: skip

    def program(self, name: str, text: str) -> None:
        """Puts a program on the gate's PATH."""
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def git(self, *words: str, at: Path | None = None, input: str | None = None) -> str:
        """Runs git as the client or at an upstream; it has to succeed."""
        done = self.try_git(*words, at=at, input=input)
        self._case.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout.strip()

    def try_git(self, *words: str, at: Path | None = None, input: str | None = None) -> subprocess.CompletedProcess[str]:
        """Runs git; standard error is part of standard output."""
        return subprocess.run(
            ["git", *words], cwd=at or self.root, env=self.environment, input=input, text=True, errors="replace",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300,
        )  # fmt: skip

    def upstream(self, name: str) -> Path:
        """A bare repository with one commit on the branch trunk."""
        path = self.root / f"{name}-upstream.git"
        self.git("init", "--quiet", "--bare", "--initial-branch=trunk", str(path))
        tree = self.git("mktree", at=path, input="")
        commit = self.git("commit-tree", "-m", "first", tree, at=path)
        self.git("update-ref", "refs/heads/trunk", commit, at=path)
        return path

    def spawn(self, **environment: str) -> subprocess.Popen[str]:
        """Starts the entrypoint."""
        process = subprocess.Popen(
            [self._scripts / "entrypoint.sh"], env={**self.environment, **environment}, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._case.addCleanup(process.communicate)
        self._case.addCleanup(process.kill)
        return process

    def serve(self, **upstreams: Path) -> subprocess.Popen[str]:
        """Starts the entrypoint for some upstreams and waits until it listens."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        words = " ".join(f"{name}=ssh://git@forge.test{path}" for name, path in upstreams.items())
        process = self.spawn(GIT_GATE_UPSTREAMS=words, GIT_GATE_PORT=str(self.port))
        assert process.stderr is not None
        self._wait(process.stderr)
        return process

    def _wait(self, log: IO[str]) -> None:
        for line in log:
            if "Ready to rumble" in line:
                return
        self._case.fail("the gate ended before it listened")

    def url(self, name: str) -> str:
        """Where a client finds a mirror."""
        return f"git://127.0.0.1:{self.port}/{name}"

    def contacts(self) -> list[str]:
        """How ssh was called so far."""
        return self.calls.read_text().splitlines()

    def down(self) -> None:
        """From now on the upstream's host refuses connections."""
        Path(f"{self.calls}.down").touch()
