"""A job that may run on another machine: all that it shares with its sweep is the file system."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from elmo.errors import InputError
from experiments.sweep.launchers.launcher import Run, run_logged

_REQUEST_FILE = ".stop"  # in a job's directory: the sweep asks it to stop
_POLL_SECONDS = 1.0


def require(package: str, *, extra: str) -> None:
    """Raises InputError if the package of a launcher is not installed."""
    if find_spec(package) is None:
        raise InputError(f'launcher={extra} needs {package}: pip install -e ".[{extra}]"')


def run_remotely(run: Run, arguments: Sequence[str], path: str, cwd: str) -> int:
    """The exit code of a job in this process, which works in the directory of the sweep's process.

    It stops where nothing is lost when the sweep asks for it, or when Slurm says that its time is up.
    """
    os.chdir(cwd)
    threading.Thread(target=_obey, args=(Path(path) / _REQUEST_FILE,), daemon=True).start()
    # The signal by which submitit has Slurm announce the end of the time.
    signal.signal(signal.SIGUSR2, lambda number, frame: signal.raise_signal(signal.SIGINT))
    return run_logged(run, arguments, Path(path))


def request_stop(path: Path) -> None:
    """Ask the job in a directory to stop."""
    (path / _REQUEST_FILE).touch()


def clear_request(path: Path) -> None:
    """Take back an earlier request."""
    (path / _REQUEST_FILE).unlink(missing_ok=True)


def _obey(request: Path) -> None:
    while not request.exists():
        time.sleep(_POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGINT)
