"""Measures the first steps of a training, in a process of its own: its speed, parts, memory and the machine.

`python -m experiments.benchmark.train_worker DIRECTORY SECONDS [overrides of experiments.train]`, alone or
started by torchrun; each process writes its figures into the directory. The training is that of
`experiments.train`, which is left when enough steps are measured.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from experiments.benchmark.flops import step_flops
from experiments.benchmark.machine_limits import product_peak
from experiments.config.command import run_command
from experiments.config.schema import TrainConfig
from experiments.io.environment import peak_accelerator_memory_bytes, peak_memory_bytes
from experiments.logging.report import write_figures
from experiments.profiling.parts import told_parts
from experiments.profiling.times import PartTimes
from experiments.profiling.trace import TRACED_STEPS, WARM_UP_STEPS, traced_steps
from experiments.train import train
from experiments.training.memory import estimated_bytes
from experiments.training.trainer import Trainer

WARM_UP_SPANS, FEWEST_SPANS, MOST_SPANS = 3, 5, 400  # a span is a step; of an accelerator some steps
PART_SPANS = 5


class _Enough(Exception):
    """Leaves the trainer's loop, or the training."""


class _CountedBatches:
    """A training's batches, of which the FLOPs are added up."""

    def __init__(self, trainer: Trainer) -> None:
        self.batches, self.model = trainer.batches, trainer.training.model
        self.flops: dict[str, int] = {}

    def __next__(self) -> Any:
        batch = next(self.batches)
        for part, value in step_flops(self.model, batch).items():  # type: ignore[arg-type]
            self.flops[part] = self.flops.get(part, 0) + value
        return batch

    def state_dict(self) -> dict[str, Any]:
        return self.batches.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.batches.load_state_dict(state)


def measure(trainer: Trainer, *, seconds: float, profile_path: Path | None) -> dict[str, float]:
    """The figures of a training that has not begun: its first steps are trained.

    Args:
        seconds: to measure for, after some steps that are left out, and before more of them, by parts.
        profile_path: the directory of a trace; None: none is written.
    """
    figures: dict[str, float] = {"estimated_memory_bytes": estimated_bytes(trainer)}
    counted = _CountedBatches(trainer)
    trainer.batches = counted
    marks: list[tuple[float, int, int]] = []  # time, units, FLOPs
    times: list[float] = []  # on which all processes agree, so that all of them take the same steps

    def is_enough() -> bool:
        marks.append((time.perf_counter(), trainer.position.units, sum(counted.flops.values())))
        times.append(trainer.seconds())
        num_spans = len(marks) - 1 - WARM_UP_SPANS
        is_late = num_spans > 0 and times[-1] - times[WARM_UP_SPANS] >= seconds
        return num_spans >= MOST_SPANS or (is_late and num_spans >= FEWEST_SPANS)

    _take_steps(trainer, is_enough)
    spans = list(itertools.pairwise(marks[WARM_UP_SPANS:]))
    figures["steps"] = trainer.position.step
    figures["tokens_per_second"] = statistics.median((b[1] - a[1]) / (b[0] - a[0]) for a, b in spans)
    figures["flops_per_second"] = statistics.median((b[2] - a[2]) / (b[0] - a[0]) for a, b in spans)
    whole = sum(counted.flops.values())
    figures |= {f"flops/{part}": value / whole for part, value in counted.flops.items()}
    is_cuda = trainer.device.type == "cuda"
    figures["memory_bytes"] = peak_accelerator_memory_bytes() if is_cuda else peak_memory_bytes()
    if profile_path is not None:
        with traced_steps(trainer, profile_path if trainer.processes.is_first else None) as after_step:
            _take_steps(trainer, _after(WARM_UP_STEPS + TRACED_STEPS + 1), after_step)
    trainer.steps.recorded = None  # a step that is replayed has no parts: those of the plain loop are timed
    parts = PartTimes(trainer.device)
    with told_parts(trainer, parts.enter):
        _take_steps(trainer, _after(PART_SPANS))
    figures |= {f"share/{part}": share for part, share in parts.shares().items()}
    figures["peak_flops_per_second"] = product_peak(trainer.steps.dtype, trainer.device)
    return figures


def _take_steps(
    trainer: Trainer, is_enough: Callable[[], bool], after_step: Callable[[], None] = lambda: None
) -> None:
    """Train until `is_enough`, which is asked whenever the device has finished all steps so far."""

    def show(step: int, units: int, loss: float, fraction: float) -> None:
        after_step()
        if step % trainer.read_every == 0 and is_enough():
            raise _Enough

    with suppress(_Enough):
        trainer.run(show=show, log=_log_nothing)


def _after(number: int) -> Callable[[], bool]:
    """Whether a function was called as often."""
    numbers = itertools.count(1)
    return lambda: next(numbers) >= number


def _log_nothing(step: int, values: Mapping[str, float]) -> None:
    """Nothing is kept."""


def main(arguments: Sequence[str]) -> int:
    """The exit code; the figures are in `figures-RANK.json`."""
    directory, seconds, profile, *overrides = arguments

    def measured(trainer: Trainer) -> None:
        profile_path = Path(profile) if profile else None
        figures = measure(trainer, seconds=float(seconds), profile_path=profile_path)
        write_figures(Path(directory) / f"figures-{trainer.processes.rank}.json", figures)
        raise _Enough

    def run(config: TrainConfig, overrides: list[str]) -> None:
        with suppress(_Enough):
            train(config, overrides, on_start=measured)

    return run_command(run, config_name="train", arguments=overrides)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
