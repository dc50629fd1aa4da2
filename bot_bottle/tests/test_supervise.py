"""supervise: whole files or none, never too many."""

import json
import os
import stat
import tempfile
import threading
import unittest
from pathlib import Path
from unittest import mock

import supervise

PROPOSAL = {"kind": "route", "title": "reach pypi.org", "detail": "to install a package"}


class QueueOfFiles(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def test_a_proposal_is_one_readable_file(self) -> None:
        self.addCleanup(os.umask, os.umask(0o077))
        name = supervise.Queue(self.folder).put({**PROPOSAL, "id": "forged", "title": "caf\u00e9 \ud800"})
        self.assertEqual(self.files(), [f"{name}.json"])
        path = self.folder / f"{name}.json"
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o644)
        record = json.loads(path.read_bytes())
        self.assertEqual(record.pop("id"), name)
        self.assertTrue(record.pop("time").endswith("+00:00"))
        self.assertEqual(record, {**PROPOSAL, "title": "caf\u00e9 \ud800"})

    def test_names_do_not_repeat_and_sort_by_time(self) -> None:
        queue = supervise.Queue(self.folder)
        names: list[str] = []
        threads = [threading.Thread(target=lambda: names.append(queue.put(PROPOSAL))) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(set(names)), 20)
        self.assertEqual(self.files(), sorted(f"{name}.json" for name in names))
        self.assertGreater(queue.put(PROPOSAL), max(names))

    def test_the_queue_is_bounded(self) -> None:
        queue = supervise.Queue(self.folder, max_files=2)
        first = queue.put(PROPOSAL)
        queue.put(PROPOSAL)
        with self.assertRaisesRegex(supervise.QueueError, "2 proposals wait"):
            queue.put(PROPOSAL)
        self.assertEqual(len(self.files()), 2)
        (self.folder / f"{first}.json").unlink()
        queue.put(PROPOSAL)
        with self.assertRaisesRegex(supervise.QueueError, "larger"):
            supervise.Queue(self.folder, max_files=9).put({"detail": "x" * supervise.MAX_FILE_BYTES})

    def test_what_fails_leaves_nothing_behind(self) -> None:
        queue = supervise.Queue(self.folder)
        for name in ("fsync", "fchmod"):
            with mock.patch.object(os, name, side_effect=OSError(28, "No space left on device")):
                with self.assertRaisesRegex(supervise.QueueError, "No space left"):
                    queue.put(PROPOSAL)
            self.assertEqual(self.files(), [])
        with mock.patch.object(Path, "rename", side_effect=OSError(5, "Input/output error")):
            with self.assertRaises(supervise.QueueError):
                queue.put(PROPOSAL)
        self.assertEqual(self.files(), [])

    def test_a_start_sweeps_what_a_crash_left(self) -> None:
        for name in (".half.tmp", "kept.json", ".keep", "other.tmp"):
            (self.folder / name).touch()
        supervise.Queue(self.folder)
        self.assertEqual(self.files(), [".keep", "kept.json", "other.tmp"])

    def test_the_folder_has_to_be_there(self) -> None:
        with self.assertRaises(OSError):
            supervise.Queue(self.folder / "missing")
        with self.assertRaises(OSError):
            supervise.from_environment({"SUPERVISE_QUEUE": str(self.folder / "missing")})
        self.assertEqual(supervise.from_environment({"SUPERVISE_QUEUE": str(self.folder)}).folder, self.folder)


if __name__ == "__main__":
    unittest.main()
