"""Learning rate schedules: the factor on the learning rate, given the step and the progress of the run.

Progress, from 0 to 1, is the largest of the shares of steps, epochs and minutes that are used up.
"""

from __future__ import annotations

import math
from typing import Annotated

from elmo.registry import REGISTRY
from elmo.values import Count, Probability, Range

WarmUp = Annotated[int, Range(0, 10**12)]


@REGISTRY.register("schedule", "constant")
class ConstantSchedule:
    """A linear warm-up, then 1.

    Args:
        warmup_steps: steps until the full learning rate; 0 for none.
    """

    def __init__(self, *, warmup_steps: WarmUp) -> None:
        self.warmup_steps = warmup_steps

    def factor(self, step: int, progress: float) -> float:
        """The multiplier of step `step`, the first being 0."""
        return _warmup(step, self.warmup_steps)


@REGISTRY.register("schedule", "cosine")
class CosineSchedule:
    """A linear warm-up, and half a cosine over the whole run from 1 down to `final_factor`.

    Args:
        warmup_steps: steps until the full learning rate; 0 for none.
        final_factor: the multiplier at the end of the run.
    """

    def __init__(self, *, warmup_steps: WarmUp, final_factor: Probability) -> None:
        self.warmup_steps = warmup_steps
        self.final_factor = final_factor

    def factor(self, step: int, progress: float) -> float:
        """The multiplier of step `step`, the first being 0; `progress` is how far the run is."""
        share_left = (1 + math.cos(math.pi * min(progress, 1.0))) / 2
        return _warmup(step, self.warmup_steps) * (self.final_factor + (1 - self.final_factor) * share_left)


@REGISTRY.register("schedule", "linear")
class LinearSchedule:
    """A linear warm-up, and a straight line over the whole run from 1 down to `final_factor`.

    Args:
        warmup_steps: steps until the full learning rate; 0 for none.
        final_factor: the multiplier at the end of the run.
    """

    def __init__(self, *, warmup_steps: WarmUp, final_factor: Probability) -> None:
        self.warmup_steps = warmup_steps
        self.final_factor = final_factor

    def factor(self, step: int, progress: float) -> float:
        """The multiplier of step `step`, the first being 0; `progress` is how far the run is."""
        share_left = 1 - min(progress, 1.0)
        return _warmup(step, self.warmup_steps) * (self.final_factor + (1 - self.final_factor) * share_left)


@REGISTRY.register("schedule", "inverse_square_root")
class InverseSquareRootSchedule:
    """A linear warm-up, then sqrt(warmup_steps / step).

    Args:
        warmup_steps: steps until the full learning rate, at least 1.
    """

    def __init__(self, *, warmup_steps: Count) -> None:
        self.warmup_steps = warmup_steps

    def factor(self, step: int, progress: float) -> float:
        """The multiplier of step `step`, the first being 0."""
        return min(_warmup(step, self.warmup_steps), math.sqrt(self.warmup_steps / (step + 1)))


def _warmup(step: int, warmup_steps: int) -> float:
    return min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
