"""One thread for every test: tiny products are slower, and no longer bit-equal, on several."""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported by any test
