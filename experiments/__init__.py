"""The commands, with their config, trainer, checkpoints, logging and files; `run` trains from Python.

If packages of the extra `experiments` are missing, the import prints one line and exits with code 2: Python
imports this file before any command's own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from experiments.train import Figures

# The threads of GNU OpenMP wait for the next computation by spinning, some 4 ms: they hold cores on which the
# second direction of a biLM, or another process, could compute. It reads this when torch is first imported.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")

_EXTRA = ("datasets", "hydra", "matplotlib", "omegaconf", "tensorboard", "wandb")

if missing := [name for name in _EXTRA if find_spec(name) is None]:
    print(f"not installed: {', '.join(missing)}; run: pip install -e '.[experiments]'", file=sys.stderr)
    raise SystemExit(2)


def run(arguments: Sequence[str] = ()) -> Figures:
    """Train in this process, as `python -m experiments.train` does with these arguments.

    It may be called any number of times, also in a notebook, and beside other uses of Hydra: its global state
    and torch's number of threads are restored.

    Args:
        arguments: `group=option` and `key=value` of a single run; `--config-dir=DIR` for options of your own.

    Returns:
        The final figures by metric name; its attribute `path` is the run's directory.

    Raises:
        InputError: the user's mistakes, a line each.
        KeyboardInterrupt: by a signal, after a checkpoint was saved.
    """
    from experiments.config.single_job import run_job  # late: importing torch and Hydra takes seconds
    from experiments.train import train

    return run_job(train, config_name="train", arguments=arguments)
