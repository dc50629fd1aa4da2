"""A push's turn: one process that has the lock of the gate, scans the push, and ends with the connection.

The access hook starts it, before the client may upload, and `receive` is imported while the client does. The
pre-receive hook writes the push into one FIFO and reads the answer from another; their names have the process of the
connection. So a hook whose connection is gone has nobody to ask, and nothing is scanned or published without the lock.
"""

from __future__ import annotations

import _thread
import fcntl
import os
import select

from git_gate import sweep
from git_gate.report import RefusedError, log, tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from git_gate.limits import Limits
    from git_gate.scanner import Scanner

PUSH_LOCK = "../push.lock"
DAEMON_VARIABLE = "GIT_GATE_DAEMON"
"""Names git daemon's process; its child for a connection is the access hook's parent."""
QUARANTINE = ("GIT_QUARANTINE_PATH", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES")
"""Variables that say where git keeps the objects of the push."""
ENDING_SECONDS = 30
"""How long a connection may last after its push was answered."""


def give(name: str) -> None:
    """Waits for the turn, and leaves a process that has it. Raises RefusedError if another push takes too long."""
    connection = os.getppid()
    watched = os.pidfd_open(connection)
    if os.getppid() != connection or str(connection) in ("1", os.environ.get(DAEMON_VARIABLE)):
        raise RefusedError("the connection is gone")
    _lock()
    sweep.sweep_push(".")
    turn = Turn(name, connection, watched)
    if os.fork() == 0:
        turn.run()


def _lock() -> None:
    """Takes the lock until this process and the one that it leaves have ended."""
    descriptor = os.open(PUSH_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        from git_gate import locks

        locks.take(PUSH_LOCK, "another push is being scanned; push again later")


class Turn:
    """The turn of one connection."""

    def __init__(self, name: str, connection: int, watched: int) -> None:
        """Makes the FIFOs for the hook of a connection, whose process has the descriptor ``watched``."""
        self._name = name
        self._connection = connection
        self._watched = watched
        self._asked = False
        self._ending = False
        self._paths = [f"turn.{connection}.{what}" for what in ("push", "answer")]
        for path in self._paths:
            os.mkfifo(path, 0o600)
        self._push = os.open(self._paths[0], os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        # For both, so that neither end waits for the other.
        self._answer = os.open(self._paths[1], os.O_RDWR | os.O_CLOEXEC)

    def run(self) -> None:
        """Scans the push and publishes it, and ends this process."""
        # All that is started here ends together.
        os.setpgid(0, 0)
        try:
            _thread.start_new_thread(self._end_with_connection, ())
            # git daemon goes on when nobody has the hook's standard output any more.
            null = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(null, stream)
            self._serve()
        except BaseException as error:  # noqa: BLE001 - nothing may return into the access hook's own code
            log(f"{self._name}: the push is ended: {type(error).__name__}: {error}")
        finally:
            os.killpg(0, 9)

    def say(self, line: str) -> None:
        """Shows the client a line."""
        os.write(self._answer, f"say {line}\n".encode())

    def _serve(self) -> None:
        from git_gate import receive
        from git_gate.limits import limits

        bounds = limits(os.environ)
        scanner = receive.prepared(bounds)
        taken = False
        try:
            with receive.deadline(bounds.seconds):
                taken = self._receive(bounds, scanner)
        except RefusedError as refused:
            tell(str(refused), self.say)
        os.write(self._answer, b"taken\n" if taken else b"refused\n")
        for path in self._paths:
            os.unlink(path)
        if not select.select([self._watched], [], [], ENDING_SECONDS if self._asked else 0)[0]:
            log(f"{self._name}: a connection that does not end is ended")
            # The connection is killed first, and this process has to outlive it.
            self._ending = True
            for process in _descendants(self._connection):
                _kill(process)

    def _receive(self, bounds: Limits, scanner: Scanner) -> bool:
        from git_gate import receive

        select.select([self._push], [], [])
        self._asked = True
        os.set_blocking(self._push, True)
        with open(self._push, "rb", closefd=False) as stream:
            *quarantine, lines = stream.read().split(b"\n", len(QUARANTINE))
        if not lines.endswith(b"end\n"):
            raise RefusedError("the push is incomplete")
        for variable, value in zip(QUARANTINE, quarantine, strict=True):
            if value:
                os.environ[variable] = os.fsdecode(value)
        os.environ["GIT_DIR"] = "."
        return receive.receive(self._name, lines.splitlines()[:-1], bounds, scanner, self.say)

    def _end_with_connection(self) -> None:
        select.select([self._watched], [], [])
        if not self._ending:
            # This process, too: what it would still do is for a client that is gone.
            os.killpg(0, 9)


def _descendants(process: int) -> list[int]:
    """The process and all that it started, parents first."""
    children: dict[int, list[int]] = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat") as file:
                stat = file.read()
        except OSError:
            continue
        children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry))
    found = [process]
    for parent in found:
        found.extend(children.get(parent, ()))
    return found


def _kill(process: int) -> None:
    try:
        os.kill(process, 9)
    except ProcessLookupError:
        return
