"""Attacks on the daemons as they run: real programs on one side, a client that writes raw bytes on the other.

Every attack has a name and a control: the same attack works against the daemon without its guard. MITMDUMP names the
mitmdump to attack; without it, the one that tests/live/tools/build installs.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
