"""Many runs of a grid: `python -m experiments.sweep sweep=NAME [overrides of experiments.train]`."""

from __future__ import annotations

import sys

from experiments.sweep.command import run_sweep
from experiments.train import run_job


def command() -> int:
    """`elmo-sweep`, which is `python -m experiments.sweep`: the exit code."""
    return run_sweep(sys.argv[1:], run=run_job)


if __name__ == "__main__":
    sys.exit(command())
