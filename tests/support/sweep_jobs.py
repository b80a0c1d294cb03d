"""What tests let a launcher run in the place of a training; other processes import it by its name."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from experiments.training.stop import Stop


def note(arguments: Sequence[str]) -> int:
    """Write what a job sees into the file of the first argument; the second is the exit code."""
    seen = {"gpus": os.environ.get("CUDA_VISIBLE_DEVICES"), "process": os.getpid(), "cwd": os.getcwd()}
    seen["main"] = sys.modules["__main__"].__name__
    Path(arguments[0]).write_text(json.dumps(seen))
    print("this is", arguments[0])
    print("and this an error", file=sys.stderr)
    return int(arguments[1])


def run_out_of_memory(arguments: Sequence[str]) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def train_until_stopped(arguments: Sequence[str]) -> int:
    """A training that saves when it is asked to stop; its process is written into the file."""
    stop = Stop()
    with stop.on_signals():
        Path(arguments[0]).write_text(str(os.getpid()))
        while stop.reason is None:
            time.sleep(0.02)
    print("saved by", stop.reason)
    return 130
