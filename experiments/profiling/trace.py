"""A trace of a few steps of a training, for Perfetto, and its most expensive operators: `profile=true`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from torch.autograd.profiler_util import EventList
from torch.profiler import ProfilerActivity, profile, record_function

from elmo.files import atomic_write
from experiments.logging.progress import summary_table
from experiments.profiling.parts import told_parts
from experiments.training.trainer import Trainer

WARM_UP_STEPS, TRACED_STEPS = 5, 3
TRACE_FILE = "trace.json.gz"
_MOST_OPERATORS = 15
PART = "part: "  # what the names of the ranges begin with


class StepTracer:
    """Traces some steps of a training, after some that are left out.

    On CUDA, the parts of the steps are also ranges of NVTX, which Nsight Systems shows. Only steps on a CPU
    were ever traced.

    Args:
        trainer: at the beginning of a step.
        path: of the directory of the trace.
    """

    def __init__(self, trainer: Trainer, path: Path) -> None:
        self.trainer, self.path = trainer, path
        self._first = trainer.position.step + WARM_UP_STEPS
        self._under_way = ExitStack()
        self._profile: profile | None = None
        self._is_done = False

    def after_step(self) -> None:
        """Begin or end the trace, if it is time."""
        step = self.trainer.position.step
        if self._profile is None and not self._is_done and step >= self._first:
            self._begin()
        elif self._profile is not None and step >= self._first + TRACED_STEPS:
            self.close()

    def close(self) -> None:
        """Write what was traced so far and print its operators; of a run that is too short, say so."""
        if self._is_done:
            return
        self._is_done = True
        traced, self._profile = self._profile, None
        self._under_way.close()
        if traced is None:
            print(
                f"profile=true: the run has ended within its first {WARM_UP_STEPS} steps; nothing is traced"
            )
            return
        with atomic_write(self.path / TRACE_FILE) as aside:
            traced.export_chrome_trace(f"{aside}.json.gz")  # which compresses by the name
            Path(f"{aside}.json.gz").replace(aside)
        print_operators(traced.key_averages())
        print(f"{self.path / TRACE_FILE}: open it with https://ui.perfetto.dev")

    def _begin(self) -> None:
        activities = [ProfilerActivity.CPU]
        is_cuda = self.trainer.device.type == "cuda"
        if is_cuda:
            activities.append(ProfilerActivity.CUDA)
        self._profile = self._under_way.enter_context(profile(activities=activities))
        ranges = self._under_way.enter_context(_ranges(is_cuda))
        self._under_way.enter_context(told_parts(self.trainer, ranges.enter))


@contextmanager
def traced_steps(trainer: Trainer, path: Path | None) -> Iterator[Callable[[], None]]:
    """What to call after each step so that some of them are traced into a directory; None: nothing is."""
    if path is None:
        yield lambda: None
        return
    tracer = StepTracer(trainer, path)
    try:
        yield tracer.after_step
    finally:
        tracer.close()


class _Ranges:
    """The part under way, as a range of torch's profiler and, on CUDA, of NVTX."""

    def __init__(self, is_cuda: bool) -> None:
        self._is_cuda = is_cuda
        self._range: record_function | None = None
        self._nvtx: int | None = None

    def enter(self, part: str) -> None:
        self.leave()
        self._range = record_function(PART + part)
        self._range.__enter__()
        if self._is_cuda:  # not push and pop, as the backward pass has a thread of its own
            self._nvtx = torch.cuda.nvtx.range_start(part)

    def leave(self) -> None:
        if self._range is not None:
            self._range.__exit__(None, None, None)
            self._range = None
        if self._nvtx is not None:
            torch.cuda.nvtx.range_end(self._nvtx)
            self._nvtx = None


@contextmanager
def _ranges(is_cuda: bool) -> Iterator[_Ranges]:
    ranges = _Ranges(is_cuda)
    try:
        yield ranges
    finally:
        ranges.leave()


def print_operators(averages: EventList) -> None:
    """Print the operators with the most time of their own, on the device where it has one."""
    times = [(event.self_device_time_total or event.self_cpu_time_total, event) for event in averages]
    own = sorted(
        ((t, event) for t, event in times if not event.key.startswith((PART, "ProfilerStep"))),
        key=lambda item: -item[0],
    )
    whole = sum(time for time, _ in own) or 1.0
    summary_table(
        [
            [event.key[:60], event.count, time / 1e3, f"{time / whole:.1%}"]
            for time, event in own[:_MOST_OPERATORS]
        ],
        columns=["operator", "calls", "ms of its own", "share"],
    )
