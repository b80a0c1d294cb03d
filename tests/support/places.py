"""Where the checkout's files lie, and the data beside it that some tests use where it is there."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"
TEST_DATA = ROOT / "tests" / "data"
SHARED = ROOT.parent / "shared"
