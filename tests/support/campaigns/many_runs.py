"""How long a comparison of many runs takes: `python -m campaigns.many_runs [--runs N ...]` in tests/support.

Run directories are made up, each with the scores of 1,821 test examples as SST-2 has them: 8 configurations
with as many seeds as that makes. The command runs in a process of its own, its start included.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from made_runs import write_run

NUM_EXAMPLES = 1821
RATES = tuple(0.001 * number for number in range(1, 9))


def write_runs(path: Path, number: int) -> None:
    """Write as many runs, of eight learning rates by seeds."""
    generator = np.random.default_rng(1)
    for place in range(number):
        seed, rate = divmod(place, len(RATES))
        right = 100.0 * (generator.random(NUM_EXAMPLES) < 0.8 + rate / 100)
        changes = {"seed": seed, "optimizer__learning_rate": RATES[rate]}
        write_run(path / f"{rate}-{seed}", float(right.mean()), examples=right.tolist(), **changes)


def seconds_of_comparison(path: Path) -> tuple[float, float, str]:
    """The seconds that comparing all runs in a directory takes, the processor's, and what was printed."""
    command = [sys.executable, "-m", "experiments.compare", f"runs=[{path}/*]"]
    root = Path(__file__).resolve().parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    started, before = time.monotonic(), _processor_seconds()
    result = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    return time.monotonic() - started, _processor_seconds() - before, result.stdout


def _processor_seconds() -> float:
    """Of all children that have ended; on a busy machine, waiting is not part of it."""
    times = os.times()
    return times.children_user + times.children_system


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, nargs="+", default=[40, 2000])
    for number in parser.parse_args().runs:
        with tempfile.TemporaryDirectory() as place:
            write_runs(Path(place), number)
            seconds, of_processor, _ = seconds_of_comparison(Path(place))
            print(f"{number:,} runs: {seconds:.1f} s, {of_processor:.1f} of the processor", flush=True)


if __name__ == "__main__":
    main()
