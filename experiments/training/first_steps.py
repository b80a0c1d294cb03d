"""The first steps of a training, looked at one by one: to time them, or to sweep the learning rate."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from experiments.training.trainer import Trainer

MOST_STEPS = 11
FEWEST_STEPS, MOST_SECONDS = 3, 20.0  # slow steps: no more than the fewest once the time is up

GoOn = Callable[[int, float], bool]  # step from 1, its loss -> whether there shall be another one


class _Enough(Exception):
    """Leaves the trainer's loop."""


def take_steps(trainer: Trainer, go_on: GoOn) -> None:
    """Train until `go_on` says no, or the run ends; then its limits come first, and it is evaluated.

    Nothing is logged; checkpoints are saved where and when the trainer saves them.
    """

    def show(step: int, units: int, loss: float, fraction: float) -> None:
        if not go_on(step, loss):
            raise _Enough

    def log(step: int, values: Mapping[str, float]) -> None:
        """Nothing is kept."""

    trainer.read_every = 1  # the loss of each step is looked at, and its end is waited for
    with suppress(_Enough):
        trainer.run(show=show, log=log)


def seconds_per_step(trainer: Trainer) -> float | None:
    """The median time of the first steps, which are trained; None if there is a single one."""
    times: list[float] = []

    def go_on(step: int, loss: float) -> bool:
        times.append(time.monotonic())
        is_late = times[-1] - times[0] > MOST_SECONDS and len(times) >= FEWEST_STEPS
        return not is_late and len(times) < MOST_STEPS

    take_steps(trainer, go_on)
    spans = [after - before for before, after in itertools.pairwise(times)]
    return statistics.median(spans) if spans else None
