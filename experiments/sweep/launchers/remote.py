"""Jobs that may run on other machines: all that they share with their sweep is the file system."""

from __future__ import annotations

import os
import signal
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from elmo.errors import InputError
from experiments.sweep.launchers.launcher import Launcher, Run, run_logged

_REQUEST_FILE = ".stop"  # in a job's directory: the sweep asks it to stop
_POLL_SECONDS = 1.0


class RemoteLauncher(Launcher):
    """Gives jobs to another program, which finds a place for each; a file asks a job to stop.

    Args:
        jobs: given to it at a time.
        cpus: of each job.
        package: of the program.
        extra: of this project, which installs the package.

    Raises:
        InputError: the package is not installed.
    """

    def __init__(self, *, jobs: int, cpus: int, package: str, extra: str) -> None:
        if find_spec(package) is None:
            raise InputError(f'launcher={extra} needs {package}: pip install -e ".[{extra}]"')
        self.jobs, self.cpus = jobs, cpus
        self._running: dict[Path, Any] = {}  # what the program calls the job of a directory

    @abstractmethod
    def _submit(self, path: Path, work: Callable[..., int], *arguments: object) -> Any:
        """Have the program call `work(*arguments)` for the job of a directory; what it calls the job."""

    def has_room(self) -> bool:
        return len(self._running) < self.jobs

    def num_slots(self) -> int:
        return self.jobs

    def num_threads(self) -> int:
        return self.cpus

    def start(self, run: Run, arguments: Sequence[str], path: Path) -> None:
        (path / _REQUEST_FILE).unlink(missing_ok=True)  # of an earlier start
        self._running[path] = self._submit(
            path, run_remotely, run, list(arguments), str(path), str(Path.cwd())
        )

    def interrupt(self) -> None:
        for path in self._running:
            (path / _REQUEST_FILE).touch()


def run_remotely(run: Run, arguments: Sequence[str], path: str, cwd: str) -> int:
    """The exit code of a job in this process, which works in the directory of the sweep's process.

    It stops where nothing is lost when the sweep asks for it, or when Slurm says that its time is up.
    """
    os.chdir(cwd)
    threading.Thread(target=_obey, args=(Path(path) / _REQUEST_FILE,), daemon=True).start()
    # The signal by which submitit has Slurm announce the end of the time.
    signal.signal(signal.SIGUSR2, lambda number, frame: signal.raise_signal(signal.SIGINT))
    return run_logged(run, arguments, Path(path))


def _obey(request: Path) -> None:
    while not request.exists():
        time.sleep(_POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGINT)
