"""Attacks on git-gate beside the scan: its log, its disk and time, the scanner itself, and pushes that do not end."""

from __future__ import annotations

import fcntl
import gzip
import io
import os
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

from tests.gate import SCRIPTS, Gate

from .arena import FILE, FOLDER, GITLEAKS, Arena
from .git_gate import branch, on_base
from .planted import sentence

MIB = 1 << 20
TOKEN = b"ghp_" + b"Zk3Jq9vXx7LmN2bRt8YwPsD4fHgAe6UcX1oV"


def request(port: int, line: bytes) -> bytes:
    """What git daemon answers to a request line that is written by hand."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(b"%04x" % (len(line) + 4) + line)
        client.shutdown(socket.SHUT_WR)
        return client.recv(65_536)


def size(folder: Path) -> int:
    """Bytes below a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


class Attacked(unittest.TestCase):
    """Helpers of the tests."""

    def program(self, arena: Arena, text: str) -> None:
        """Puts something in the place of gitleaks."""
        arena.gate.program("gitleaks", text)

    def refused(self, arena: Arena, words: list[str], naming: str) -> str:
        """Pushes, which must be refused for a reason."""
        before = arena.refs()
        done = arena.push(*words)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, naming)
        self.assertEqual(arena.refs(), before)
        return done.stdout

    def taken(self, arena: Arena, words: list[str]) -> None:
        """Pushes, which must arrive."""
        done = arena.push(*words)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertLessEqual({word.partition(":")[0] for word in words}, set(arena.refs().values()))


class Log(Attacked):
    FORGED = b"git-gate: repo: pushed 1 refs, all is well"

    def test_a_repository_cannot_write_lines(self) -> None:
        arena = Arena(self)
        for name in (
            b"/x\n" + self.FORGED,
            b"/repo\n" + self.FORGED,
            b"/x\r\x1b[2K" + self.FORGED,
            b"/\xe2\x80\xae\xc2\x85x",
        ):
            for service in (b"git-upload-pack", b"git-receive-pack", b"git-upload-archive", b"git-\n" + self.FORGED):
                request(arena.gate.port, service + b" " + name + b"\0host=x\n" + self.FORGED + b"\0")
        request(arena.gate.port, b"")
        request(arena.gate.port, b"git-upload-pack /repo\0host=x\0")
        lines = self.lines(arena)
        self.assertIn("git-gate: repo: refreshed for a fetch", lines, "control: the daemon is at work and logs")
        self.assertNotIn(self.FORGED.decode(), lines)
        for line in lines:
            self.assertRegex(line, r"\Agit-gate: [ -~]*\Z")

    def lines(self, arena: Arena) -> list[str]:
        """The daemon's log, after which it has ended."""
        arena.daemon.send_signal(signal.SIGTERM)
        errors = arena.daemon.communicate(timeout=30)[1]
        return errors.splitlines()

    def test_git_daemons_own_log_could_be_forged(self) -> None:
        arena = Arena(self)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        programs = arena.gate.git("--exec-path")
        daemon = subprocess.Popen(
            [f"{programs}/git-daemon", "--verbose", "--log-destination=stderr", f"--port={port}", str(arena.gate.root)],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.addCleanup(daemon.communicate)
        self.addCleanup(daemon.kill)
        assert daemon.stderr is not None
        for line in daemon.stderr:
            if "Ready to rumble" in line:
                break
        request(port, b"git-upload-pack /x\n" + self.FORGED + b"\0host=x\0")
        found = any(line.startswith(self.FORGED.decode()) for line in iter(daemon.stderr.readline, ""))
        self.assertTrue(found, "control")

    def test_neither_can_refs_people_and_files(self) -> None:
        arena = Arena(self)
        poison = "\u202e\u2028\x9b2J".encode()
        tree = arena.tree((FILE, b"\x1b[2J\n" + self.FORGED + poison, arena.blob(sentence(TOKEN))))
        commit = arena.commit(tree, arena.base, author=b"\x1b[2J" + poison + b" <a@x> 1 +0000")
        name = poison.decode().replace("\x9b", "")
        done = arena.push(f"{commit}:refs/heads/{name}", f"{commit}:refs/notes/{name}")
        said = self.refused(arena, [f"{commit}:refs/heads/{name}"], "gitleaks found a secret")
        for text in (said, done.stdout):
            for line in text.splitlines():
                if line.startswith("remote:"):
                    self.assertRegex(line, r"\Aremote: git-gate: [ -~]*\Z")
        self.assertIn("\\x1b[2J\\n", said, "control: the name is shown, with its characters escaped")


class Scanner(Attacked):
    """The scanner is broken, or tampered with."""

    def test_a_scanner_that_proves_nothing_is_not_believed(self) -> None:
        arena = Arena(self)
        words = on_base(arena, {b"a": b"several windows of it\n" * 10_000})
        real = f'{GITLEAKS} "$@"'
        empty, half = '[{"RuleID": "git-gate-canary", "StartLine": 1, "Match": "x"}]', "import json, sys\n"
        half += "found = json.load(sys.stdin); print(json.dumps([one for one in found if not one['Match'].endswith('.1')]))"
        for name, text, naming in (
            ("exits 0", "exit 0", "not even the canary"),
            ("exits 0 and says nothing is wrong", "echo '[]'; exit 0", "not even the canary"),
            ("reports nothing", "cat >&2; echo '[]'; exit 42", "did not find every canary"),
            ("reports another canary", f"echo '{empty}'; exit 42", "did not find every canary"),
            ("reports no list", "echo '{}'; exit 42", "did not find every canary|cannot be read"),
            ("reports no JSON", "echo Leaks: none; exit 42", "cannot be read"),
            ("reports garbage", "echo '[1]'; exit 42", "cannot be read"),
            ("has no rules of its own", f"{real} --enable-rule git-gate-canary", "did not find every canary"),
            ("reads the beginning", f"head -c 100000 | {real}", "did not find every canary"),
            ("reads the end", f"tail -c 100000 | {real}", "did not find every canary"),
            ("leaves out a window", f"{real} | python3 -c \"$HALF\"; exit 42", "did not find every canary"),
            ("reads something else", f"echo ghp_x | {real}", "not even the canary|did not find every canary"),
            ("fails", "exit 1", "failed .1."),
            ("panics", "exit 2", "failed .2."),
            ("is killed", "kill -9 $$", "failed .-9."),
            ("does not run", "", "cannot be started"),
        ):  # fmt: skip
            with self.subTest(name):
                self.program(arena, f'#!/bin/sh\nHALF="{half}"\n{text}\n' if text else "#!/nowhere\n")
                self.refused(arena, words, naming)
        self.program(arena, f"#!/bin/sh\n{real}\n")
        self.taken(arena, words)

    def test_a_scanner_that_hangs_is_ended(self) -> None:
        arena = Arena(self, GIT_GATE_MAX_SECONDS="3")
        words = on_base(arena, {b"a": b"clean\n"})
        self.program(arena, "#!/bin/sh\nexec sleep 1000\n")
        self.refused(arena, words, "took longer than 3 seconds")

    def test_the_operators_configuration_is_extended_and_cannot_switch_the_proof_off(self) -> None:
        rule = "[[rules]]\nid = 'own'\nregex = 'wonderland-[0-9]+'\nkeywords = ['wonderland']\n"
        silent = "[extend]\nuseDefault = true\n[[allowlists]]\nregexes = ['.*']\n"
        for name in ("GITLEAKS_CONFIG_TOML", "GITLEAKS_CONFIG"):
            for text in (rule, silent):
                value = text
                if name == "GITLEAKS_CONFIG":
                    own = self.enterContext(tempfile.NamedTemporaryFile("w"))
                    own.write(text)
                    own.flush()
                    value = own.name
                arena = Arena(self, guarded=True, scripts=SCRIPTS, **{name: value})
                clean, dirty = on_base(arena, {b"a": b"clean\n"}), on_base(arena, {b"a": b"wonderland-17\n"})
                with self.subTest(name=name, text=text):
                    if text is silent:
                        self.refused(arena, clean, "not even the canary|did not find every canary")
                    else:
                        self.refused(arena, dirty, "gitleaks: own in a of commit")
                        self.taken(arena, clean)

    def test_it_runs_as_nobody_where_that_is_possible(self) -> None:
        if os.geteuid() != 0:
            self.fail("the gate's images run as root, and so does this test")
        arena = Arena(self)
        said = arena.gate.root / "said"
        said.touch()
        said.chmod(0o666)
        self.program(arena, f'#!/bin/sh\nid -u >"{said}"\nexec {GITLEAKS} "$@"\n')
        self.taken(arena, on_base(arena, {b"a": b"hidden from others\n"}))
        self.assertEqual(said.read_text(), "0\n", "control: the gate itself is root, and others do not see the program")
        arena.gate.root.chmod(0o755)
        arena.gate.bin.chmod(0o755)
        self.taken(arena, on_base(arena, {b"a": b"seen by others\n"}))
        self.assertEqual(said.read_text(), "65534\n")


class Bounds(Attacked):
    """What a push may cost."""

    def setUp(self) -> None:
        self.arena = Arena(
            self,
            GIT_GATE_MAX_SCAN_BYTES=str(8 * MIB),
            GIT_GATE_MAX_OBJECT_BYTES=str(4 * MIB),
            GIT_GATE_MAX_PACK_BYTES=str(MIB),
        )
        self.before = size(self.arena.mirror)

    def bounded(self, words: list[str], naming: str) -> None:
        """Pushes, which must be refused, and leave nothing on the disk."""
        self.refused(self.arena, words, naming)
        # The lock is free when git receive-pack has ended and removed its upload.
        with (self.arena.mirror.parent / "push.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
        self.assertLess(size(self.arena.mirror) - self.before, 200_000)

    def file(self, data: bytes) -> list[str]:
        return on_base(self.arena, {b"a": data})

    def test_bombs(self) -> None:
        zeros = bytes(64 * MIB)
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            for number in range(20):
                file.writestr(str(number), bytes(MIB))
        nested = b"clean\n" * 20
        for _ in range(9):
            nested = gzip.compress(nested)
        for name, data, naming in (
            ("gzip", gzip.compress(zeros), "too large to scan"),
            ("zip", archive.getvalue(), "too large to scan"),
            ("gzip in gzip", gzip.compress(gzip.compress(zeros)), "too large to scan"),
            ("nested too deep", nested, "packed more than 6 times"),
            ("a file that is too large", zeros[: 5 * MIB], "more than the 4194304 that can be scanned"),
        ):  # fmt: skip
            with self.subTest(name):
                self.bounded(self.file(data), naming)
        self.taken(self.arena, self.file(gzip.compress(bytes(MIB))))

    def test_a_small_pack_of_large_files(self) -> None:
        """One base of random lines, and hundreds of files that differ from it in a line: 300 MB of files."""
        base = "".join(f"{number * 2654435761 % (1 << 32):08x} line\n" for number in range(40_000)).encode()
        blobs = [self.arena.blob(base + b"%d" % number) for number in range(600)]
        tree = self.arena.tree(*((FILE, b"%d" % number, blob) for number, blob in enumerate(blobs)))
        words = branch(self.arena.commit(tree, self.arena.base))
        self.bounded(words, "too large to scan|pack exceeds|Connection reset|unpack")
        some = self.arena.tree(*((FILE, b"%d" % number, blob) for number, blob in enumerate(blobs[:4])))
        self.taken(self.arena, branch(self.arena.commit(some, self.arena.base)))

    def test_folders_that_multiply(self) -> None:
        tree = self.arena.files({b"x": b"x"})
        for _ in range(10):
            tree = self.arena.tree(*((FOLDER, b"d%d" % number, tree) for number in range(10)))
        self.bounded(branch(self.arena.commit(tree, self.arena.base)), "too large to scan")
        self.taken(self.arena, self.file(b"clean\n"))

    def test_refs_without_an_end(self) -> None:
        name = "refs/heads/" + "x" * 150
        words = [f"{self.arena.base}:{name}{number}" for number in range(1_001)]
        self.refused(self.arena, words, "a push changes at most 1000 refs, and this one 1001")
        self.taken(self.arena, words[:1_000])

    def test_a_pack_that_is_too_large(self) -> None:
        self.bounded(self.file(os.urandom(2 * MIB)), "maximum allowed size|Connection reset|unpack|hung up")
        self.taken(self.arena, self.file(os.urandom(MIB // 2)))


class Endings(Attacked):
    """Pushes that do not end, and what they leave."""

    def test_a_start_sweeps_what_was_left(self) -> None:
        gate = Gate(self)
        (gate.bin / "gitleaks").unlink()
        (gate.bin / "gitleaks").symlink_to(GITLEAKS)
        upstream = gate.upstream("repo")
        daemon = gate.serve(repo=upstream)
        gate.git("ls-remote", gate.url("repo"))
        daemon.kill()
        daemon.wait()
        mirror = gate.root / "git" / "repo.git"
        names = """
            objects/tmp_objdir-incoming-x/pack/tmp_pack_1 objects/incoming-x/y objects/pack/tmp_pack_2 objects/aa/tmp_obj_3
            scan.x/stream refs/heads/trunk.lock HEAD.lock config.lock packed-refs.lock
        """
        left = [mirror / name for name in names.split()]
        for path in left:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
        gate.serve(repo=upstream)
        self.assertEqual([path for path in left if path.exists()], [])
        self.assertIn("refs/heads/trunk", gate.git("ls-remote", gate.url("repo")), "control: the mirror is whole")

    def start(self, arena: Arena, words: list[str]) -> subprocess.Popen[bytes]:
        """A push by way of the daemon."""
        process = subprocess.Popen(
            ["git", "push", "--quiet", arena.gate.url("repo"), *words], cwd=arena.client, env=arena.gate.environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def receivers(self, arena: Arena) -> list[int]:
        """Processes that take a push."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                    here = (entry / "cwd").resolve() == arena.mirror.resolve()
                except OSError:
                    continue
                if here and b"receive-pack" in b" ".join(words):
                    found.append(int(entry.name))
        return found

    def test_a_push_that_stalls_gives_its_turn_back(self) -> None:
        arena = Arena(self, GIT_GATE_MAX_SECONDS="20")
        line = b"git-receive-pack /repo\0host=x\0"
        with socket.create_connection(("127.0.0.1", arena.gate.port), timeout=120) as stalled:
            stalled.sendall(b"%04x" % (len(line) + 4) + line)
            self.assertRegex(stalled.recv(65_536), rb"refs/heads/trunk")
            self.assertTrue(self.receivers(arena), "control: it waits for the client")
            while stalled.recv(65_536):
                continue
        self.assertEqual(self.receivers(arena), [])
        push = self.start(arena, on_base(arena, {b"a": b"clean\n"}))
        self.assertEqual(push.wait(120), 0)


if __name__ == "__main__":
    print("git-gate: attacks on the daemon", file=sys.stderr)
    unittest.main()
