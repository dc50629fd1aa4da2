"""docs/threat-model.md: each promise names a test, and each test that it names exists."""

import re
import unittest
from pathlib import Path

BOTTLE = Path(__file__).resolve().parents[1]
MODEL = BOTTLE.parent / "docs" / "threat-model.md"
NAMED = re.compile("`([^`]+)`")


def promises(text: str) -> list[tuple[str, str]]:
    """Promise and test of each row of the tables of promises."""
    found = []
    for table in text.split("| Promise | Test |\n|---|---|\n")[1:]:
        for line in table.splitlines():
            if not line.startswith("|"):
                break
            _, promise, test, _ = re.split(r"(?<!\\)\|", line)
            found.append((promise.strip(), test.strip()))
    return found


def lacking(test: str) -> list[str]:
    """What a cell names that no test has."""
    module, wrong = "", []
    for name in NAMED.findall(test):
        first, _, attribute = name.partition(".")
        files = [path for folder in ("tests", "attacks") if (path := BOTTLE / folder / f"{first}.py").exists()]
        if files:
            # The attacks of a test are in modules of their own.
            files += [path for path in (BOTTLE / "attacks").glob("[!t]*.py") if files[-1].parent.name == "attacks"]
            module = "".join(path.read_text() for path in files)
            if attribute and f"class {attribute}(" not in module:
                wrong.append(name)
        elif not all(part in module for part in re.split("[*…]", name) if part.strip()) or not module:
            wrong.append(name)
    return wrong if module else [*wrong, test]


class ThreatModel(unittest.TestCase):
    def test_each_promise_names_a_test_that_exists(self) -> None:
        found = promises(MODEL.read_text())
        self.assertGreater(len(found), 25)
        for promise, test in found:
            with self.subTest(promise=promise):
                self.assertEqual(lacking(test), [])

    def test_a_test_that_does_not_exist_is_seen(self) -> None:
        for cell in ("", "by review", "`test_nothing`", "`test_egress`: `no-such-attack`", "`test_guard.NoSuchClass`"):
            with self.subTest(cell=cell):
                self.assertNotEqual(lacking(cell), [])
        self.assertEqual(lacking("`test_egress`: `method-*`"), [], "control")


if __name__ == "__main__":
    unittest.main()
