"""Tests of what the images carry. The modules lie flat, as they do in /app, so their folder goes on the path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
