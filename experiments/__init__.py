"""The commands, and what they stand on: config, trainer, checkpoints, logging, files.

Imported without the packages of the extra `experiments`, it says so in one line and ends the program with
exit code 2: Python imports it before any command's own file.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

_EXTRA = ("datasets", "hydra", "matplotlib", "omegaconf", "tensorboard", "wandb")

if missing := [name for name in _EXTRA if find_spec(name) is None]:
    print(f"not installed: {', '.join(missing)}; run: pip install -e '.[experiments]'", file=sys.stderr)
    raise SystemExit(2)
