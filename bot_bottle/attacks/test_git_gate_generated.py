"""Some of the generated pushes, as whole pushes: the full number is run by hand, see `generated`."""

import sys
import unittest

from .generated import run


class Generated(unittest.TestCase):
    def test_no_secret_arrives_and_every_clean_push_does(self) -> None:
        drawn, wrong = run(24, 8, seed=2_024, whole=True)
        print(f"git-gate: generated pushes: {dict(sorted(drawn.items()))}", file=sys.stderr)
        self.assertEqual(wrong, [])
        self.assertEqual(drawn.total(), 32)


if __name__ == "__main__":
    unittest.main()
