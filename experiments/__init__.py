"""The commands, with their config, trainer, checkpoints, logging and files.

If packages of the extra `experiments` are missing, the import prints one line and exits with code 2: Python
imports this file before any command's own.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

_EXTRA = ("datasets", "hydra", "matplotlib", "omegaconf", "tensorboard", "wandb")

if missing := [name for name in _EXTRA if find_spec(name) is None]:
    print(f"not installed: {', '.join(missing)}; run: pip install -e '.[experiments]'", file=sys.stderr)
    raise SystemExit(2)
