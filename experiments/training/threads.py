"""Torch's threads on a CPU that other processes use too."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import torch

PERIOD = 1.0  # seconds between two looks
MOST_WAITING = 0.25  # of a core's time; a quiet machine has a few percent
LEAST_IDLE = 0.75  # of a core's time
FIRST_PATIENCE, MOST_PATIENCE = 2, 64  # periods with an idle core before a thread is added


class AdaptiveThreads:
    """Uses one thread less for each core that other processes take, and one more when it is free again.

    The threads of a matrix product meet at its end. If another process holds the core of one of them, all
    wait for it, for milliseconds after a product of microseconds: one busy neighbour on two cores makes two
    threads several times slower than one. The kernel counts how long runnable threads waited for a core;
    a thread is given up when that becomes a share of a core. The number never exceeds the one at the start.

    Args:
        waited_seconds: time that the threads of this process were runnable without running, in total.
        idle_seconds: time that the cores of this process did nothing, in total.
        clock: seconds.
    """

    def __init__(
        self,
        *,
        waited_seconds: Callable[[], float],
        idle_seconds: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = (clock, waited_seconds, idle_seconds)
        self._limit = torch.get_num_threads()
        self._patience, self._num_idle = FIRST_PATIENCE, 0
        self._last = self._now()

    def adjust(self) -> None:
        """Look at the last period, if one has passed, and set the number of threads."""
        if self._read[0]() - self._last[0] < PERIOD:
            return
        now = self._now()
        seconds, waited, idle = (after - before for before, after in zip(self._last, now, strict=True))
        self._last = now
        before = torch.get_num_threads()
        after = self._number(before, waited / seconds, idle / seconds)
        if after != before:
            torch.set_num_threads(after)

    def _number(self, number: int, waiting: float, idle: float) -> int:
        if number > 1 and waiting > MOST_WAITING:
            # A neighbour that comes and goes shall not cost a slow period each time.
            self._patience, self._num_idle = min(2 * self._patience, MOST_PATIENCE), 0
            return max(1, number - max(1, round(waiting)))
        self._num_idle = self._num_idle + 1 if idle > LEAST_IDLE else 0
        if number == self._limit or self._num_idle < self._patience:
            return number
        self._num_idle = 0
        return min(self._limit, number + max(1, int(idle)))

    def _now(self) -> tuple[float, float, float]:
        clock, waited, idle = (read() for read in self._read)
        return clock, waited, idle


def watch_threads(*, num_threads: int | None, device: torch.device) -> Callable[[], object]:
    """What a long computation calls between its batches to adapt this process's threads to its neighbours.

    It does nothing if the user has given a number, on an accelerator, with one thread, or where the kernel
    counts nothing.
    """
    if num_threads is not None or device.type != "cpu" or torch.get_num_threads() == 1:
        return lambda: None
    try:
        return AdaptiveThreads(waited_seconds=_waited_seconds, idle_seconds=_idle_seconds).adjust
    except (OSError, ValueError, IndexError, AttributeError):
        return lambda: None


def _waited_seconds() -> float:
    total = 0
    for path in Path("/proc/self/task").iterdir():
        try:
            total += int((path / "schedstat").read_text().split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue  # the thread has just ended
    return total / 1e9


def _idle_seconds() -> float:
    names = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    lines = (line.split() for line in Path("/proc/stat").read_text().splitlines())
    ticks = sum(int(fields[4]) + int(fields[5]) for fields in lines if fields and fields[0] in names)
    return ticks / os.sysconf("SC_CLK_TCK")
