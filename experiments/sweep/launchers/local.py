"""Jobs on this machine, some at a time: fresh children of a process that has imported everything once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, NoReturn

from elmo.registry import REGISTRY
from elmo.values import Threads
from experiments.sweep.launchers.launcher import Ended, Launcher, Run, run_logged

_PRELOADED = "experiments.sweep.preloaded"


class _Running(NamedTuple):
    process: ForkServerProcess
    path: Path
    slot: int


@REGISTRY.register("launcher", "local")
class LocalLauncher(Launcher):
    """Up to `jobs` processes at a time on this machine, which share its cores and GPUs.

    A job that runs out of memory takes no other with it. Jobs are killed when this process is.

    Args:
        jobs: at a time; None: one for each GPU, and one without a GPU.
    """

    def __init__(self, *, jobs: Threads | None = None) -> None:
        self.jobs = jobs
        self._context = multiprocessing.get_context("forkserver")
        self._running: list[_Running] = []

    def has_room(self) -> bool:
        return len(self._running) < self.num_slots()

    def num_slots(self) -> int:
        return self.jobs or max(1, len(visible_gpus()))

    def num_threads(self) -> int | None:
        """A share of the cores; a single job adapts its threads to its neighbours by itself."""
        return max(1, _usable_cores() // self.num_slots()) if self.num_slots() > 1 else None

    def start(self, run: Run, arguments: Sequence[str], path: Path) -> None:
        taken = {running.slot for running in self._running}
        slot = next(slot for slot in range(self.num_slots()) if slot not in taken)
        self._context.set_forkserver_preload([_PRELOADED, run.__module__])
        # Not this process's environment of the time when its first job was started, but the present one.
        environment = {**os.environ, **_gpu_of(slot, arguments)}
        process = self._context.Process(target=_work, args=(run, list(arguments), path, environment))
        with _without_program():
            process.start()
        self._running.append(_Running(process, path, slot))

    def wait(self, seconds: float) -> list[Ended]:
        sentinels = [running.process.sentinel for running in self._running]
        if not sentinels:
            time.sleep(seconds)
            return []
        ready = set(wait(sentinels, timeout=seconds))
        ended = [running for running in self._running if running.process.sentinel in ready]
        for running in ended:
            running.process.join()
            self._running.remove(running)
        return [Ended(running.path, running.process.exitcode or 0) for running in ended]

    def interrupt(self) -> None:
        for running in self._running:
            _signal(running.process, signal.SIGINT)

    def close(self) -> None:
        for running in self._running:
            _signal(running.process, signal.SIGKILL)
        for running in self._running:
            running.process.join()
        self._running.clear()


@contextmanager
def _without_program() -> Iterator[None]:
    """Lets a process begin without this program's main module, which it would import once more."""
    program = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = program


def visible_gpus() -> list[str]:
    """The names by which CUDA_VISIBLE_DEVICES can give each of this process's GPUs to a child."""
    import torch  # late: importing it takes a second

    given = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return given or [str(number) for number in range(torch.cuda.device_count())]


def _gpu_of(slot: int, arguments: Sequence[str]) -> dict[str, str]:
    """The GPU of a job, unless there is none or its arguments name one themselves."""
    gpus = visible_gpus()
    if not gpus or any(text.startswith("trainer.device=cuda:") for text in arguments):
        return {}
    return {"CUDA_VISIBLE_DEVICES": gpus[slot % len(gpus)]}


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _signal(process: ForkServerProcess, number: int) -> None:
    """Sends a signal to a job: SIGKILL also to what the job itself has started."""
    with suppress(ProcessLookupError):
        if number == signal.SIGKILL and os.getpgid(process.pid or 0) == process.pid:
            os.killpg(process.pid, number)
        elif process.pid is not None:
            os.kill(process.pid, number)


def _work(run: Run, arguments: list[str], path: Path, environment: Mapping[str, str]) -> NoReturn:
    """A job, in its own process."""
    os.setsid()  # Ctrl-C in the terminal is for the sweep, which asks its jobs to stop
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin without it
    threading.Thread(target=_end_with_sweep, daemon=True).start()
    os.environ.clear()
    os.environ.update(environment)
    sys.exit(run_logged(run, arguments, path))


def _end_with_sweep() -> None:
    """Kills this job when the sweep's process has ended: nobody would wait for it or note how it ends."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.killpg(0, signal.SIGKILL)
