"""What a launcher does: it starts jobs, each in a process of its own, and tells how they ended."""

from __future__ import annotations

import io
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

# Runs a job by the arguments of `experiments.train` and returns its exit code: a function of a module, as
# other processes import it by its name.
Run: TypeAlias = Callable[[Sequence[str]], int]
OUTPUT_FILE = "output.log"  # in the directory of a job: what it printed


class Ended(NamedTuple):
    """The end of a job.

    Attributes:
        path: its directory.
        exit_code: of its process; negative: the signal that killed it.
        reason: why it failed, where the launcher knows more than the exit code says.
    """

    path: Path
    exit_code: int
    reason: str | None = None


class Launcher(ABC):
    """Starts jobs and waits for them; `close` ends those that still run, and belongs into a `finally`."""

    @abstractmethod
    def has_room(self) -> bool:
        """Whether another job can be started now."""

    @abstractmethod
    def num_slots(self) -> int:
        """The most jobs at a time."""

    @abstractmethod
    def num_threads(self) -> int | None:
        """The threads of each job; None: its own choice."""

    @abstractmethod
    def start(self, run: Run, arguments: Sequence[str], path: Path) -> None:
        """Starts `run(arguments)` in a process that writes what it prints to output.log in `path`."""

    @abstractmethod
    def wait(self, seconds: float) -> list[Ended]:
        """The jobs that have ended since the last call; waits for the first one, at most so many seconds."""

    @abstractmethod
    def interrupt(self) -> None:
        """Asks every running job to stop where nothing is lost, as Ctrl-C does."""

    @abstractmethod
    def close(self) -> None:
        """Ends the jobs that still run at once."""


def run_logged(run: Run, arguments: Sequence[str], path: Path) -> int:
    """The exit code of `run(arguments)`, whose output goes to the end of output.log in `path`.

    This process writes nothing elsewhere from then on, and a run notes the command that repeats it alone.
    """
    sys.modules["__main__"] = sys.modules[run.__module__]
    path.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path / OUTPUT_FILE, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a reader sees each line at once, and a kill loses none
            stream.reconfigure(encoding="utf-8", line_buffering=True)
    return run(list(arguments))
