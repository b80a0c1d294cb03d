"""A learning-rate range test (Smith 2017): the rate grows at every step until the loss diverges."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from elmo.errors import InputError
from experiments.training.first_steps import take_steps
from experiments.training.step import NotFiniteError
from experiments.training.trainer import Trainer

SMOOTHING = 0.9  # share of the mean loss so far in the next one
DIVERGED = 1.25  # times the loss of the first step: worse than a model that has learned nothing


class Step(NamedTuple):
    """A step of the sweep, as a row of the table."""

    step: int
    learning_rate: float
    loss: float
    smoothed_loss: float


class ExponentialSweep:
    """A schedule: the rate grows by the same factor at every step, from `lowest` to `highest`.

    Args:
        lowest, highest: of the learning rate.
        num_steps: from the first to the last, at least 2.
        learning_rate: of the optimizer, whose multiples a schedule gives.
    """

    def __init__(self, *, lowest: float, highest: float, num_steps: int, learning_rate: float) -> None:
        self.lowest, self.growth = lowest, (highest / lowest) ** (1 / (num_steps - 1))
        self.num_steps, self.learning_rate = num_steps, learning_rate

    def rate(self, step: int) -> float:
        """The rate of a step, from 0."""
        return self.lowest * self.growth**step

    def factor(self, step: int, progress: float) -> float:
        """The rate as a multiple of the optimizer's."""
        return self.rate(step) / self.learning_rate


def sweep(trainer: Trainer, schedule: ExponentialSweep, *, show: Callable[[Step], None]) -> list[Step]:
    """The steps of a sweep, up to the one at which the loss diverged.

    Args:
        trainer: at its start, with limits and periods beyond the steps of the sweep.
        schedule: of the sweep.
        show: called after every step.

    Raises:
        InputError: the loss diverged at once.
    """
    trainer.schedule = schedule
    steps: list[Step] = []

    def go_on(step: int, loss: float) -> bool:
        before = steps[-1].smoothed_loss if steps else loss
        smoothed = SMOOTHING * before + (1 - SMOOTHING) * loss
        steps.append(Step(step, schedule.rate(step - 1), loss, smoothed))
        show(steps[-1])
        return step < schedule.num_steps and smoothed < DIVERGED * steps[0].loss

    try:
        take_steps(trainer, go_on)
    except NotFiniteError as error:
        if len(steps) < 2:
            raise InputError(f"lowest: the loss diverged at once ({error}); give a lower rate") from error
    return steps


def figures_of(steps: list[Step]) -> dict[str, float | bool]:
    """What a sweep says: the rate of the lowest loss, that of the fastest fall, and the suggested one.

    The slope at a step is that of the smoothed loss by the logarithm of the rate, over the steps beside it.
    """
    lowest = min(steps, key=lambda step: step.smoothed_loss)
    before = steps[: steps.index(lowest) + 1]
    slopes = [
        (after.smoothed_loss - first.smoothed_loss) / math.log(after.learning_rate / first.learning_rate)
        for first, after in zip(before, before[2:], strict=False)
    ]
    steepest = before[1 + slopes.index(min(slopes))] if slopes else lowest
    return {
        "suggested_learning_rate": min(lowest.learning_rate / 10, steepest.learning_rate),
        "learning_rate_of_lowest_loss": lowest.learning_rate,
        "learning_rate_of_steepest_fall": steepest.learning_rate,
        "has_fallen": lowest is not steps[0],
    }
