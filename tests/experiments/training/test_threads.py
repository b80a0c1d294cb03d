"""Threads are given up to other processes and taken back, by the kernel's own counts."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
import torch

from experiments.training.threads import AdaptiveThreads, watch_threads


class Machine:
    """Counters that advance by what a period on this machine brings."""

    def __init__(self, *, num_threads: int) -> None:
        torch.set_num_threads(num_threads)
        self.now = self.waited = self.idle = 0.0
        self.threads = AdaptiveThreads(
            waited_seconds=lambda: self.waited, idle_seconds=lambda: self.idle, clock=lambda: self.now
        )

    def pass_second(self, *, waiting: float = 0.0, idle: float = 0.0) -> int:
        """The number of threads after a second in which threads waited, and cores did nothing."""
        self.now += 1.0
        self.waited += waiting
        self.idle += idle
        self.threads.adjust()
        return torch.get_num_threads()


def test_a_busy_neighbour_gets_a_core_and_gives_it_back() -> None:
    machine = Machine(num_threads=2)
    assert [machine.pass_second(waiting=0.03, idle=0.1) for _ in range(3)] == [2, 2, 2]
    assert machine.pass_second(waiting=0.66) == 1
    assert [machine.pass_second(waiting=0.4) for _ in range(3)] == [1, 1, 1]
    assert [machine.pass_second(idle=0.98) for _ in range(4)] == [1, 1, 1, 2]
    assert [machine.pass_second(idle=0.98) for _ in range(9)] == [2] * 9  # never more than at the start


def test_a_neighbour_that_comes_and_goes_is_given_longer_and_longer() -> None:
    machine, waits = Machine(num_threads=2), []
    for _ in range(7):
        assert machine.pass_second(waiting=0.7) == 1
        seconds = 1
        while machine.pass_second(idle=1.0) == 1:
            seconds += 1
        waits.append(seconds)
    assert waits == [4, 8, 16, 32, 64, 64, 64]


def test_as_many_threads_are_given_up_as_cores_are_taken() -> None:
    machine = Machine(num_threads=16)
    assert machine.pass_second(waiting=3.2) == 13
    assert [machine.pass_second(idle=2.9) for _ in range(4)] == [13, 13, 13, 15]


def test_a_number_is_kept_for_a_whole_period() -> None:
    machine = Machine(num_threads=2)
    machine.now, machine.waited = 0.5, 5.0
    machine.threads.adjust()
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(
    ("threads", "given", "device", "is_watched"),
    [(1, None, "cpu", False), (2, 2, "cpu", False), (2, None, "cuda", False), (2, None, "cpu", True)],
)
def test_only_several_threads_of_the_processs_own_choice_are_watched(
    monkeypatch: pytest.MonkeyPatch, threads: int, given: int | None, device: str, is_watched: bool
) -> None:
    watched: list[object] = []
    monkeypatch.setattr(AdaptiveThreads, "adjust", lambda threads: watched.append(threads))
    torch.set_num_threads(threads)
    watch_threads(num_threads=given, device=torch.device(device))()
    assert bool(watched) == is_watched


@pytest.mark.skipif(sys.platform != "linux", reason="the counters are Linux's")
def test_the_kernel_counts_the_threads_that_wait_for_a_core() -> None:
    # Two processes that are bound to one core wait for half of the time each.
    script = """
        import os, subprocess, sys, time
        from experiments.training.threads import _idle_seconds, _waited_seconds
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        neighbour = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        time.sleep(0.2)
        before, end = (_waited_seconds(), _idle_seconds()), time.monotonic() + 0.5
        while time.monotonic() < end:
            pass
        print(_waited_seconds() - before[0], _idle_seconds() - before[1])
        neighbour.kill()
    """
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    waited, idle = map(float, found.stdout.split())
    assert 0 <= idle < 0.1
    assert waited > 0.1
