"""How far a run is, what ends it, and how often things happen in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

from elmo.values import Range

Done = Annotated[int, Range(0, 10**15)]
Seconds = Annotated[float, Range(0, 10**12)]

FIRST_SAVE_SECONDS = 30.0
SMOOTHING = 0.98  # of the loss, per step


@dataclass(frozen=True)
class Limits:
    """The run ends at whichever comes first; None for no such limit."""

    steps: int | None
    epochs: float | None
    minutes: float | None

    def shares(self, *, steps: int, epochs: float, minutes: float) -> dict[str, float]:
        """The share of each limit that is used up, by the limit's key in the config with its value."""
        used = (
            ("max_steps", steps, self.steps),
            ("max_epochs", epochs, self.epochs),
            ("max_minutes", minutes, self.minutes),
        )
        return {
            f"trainer.{key}={limit:g}" if isinstance(limit, float) else f"trainer.{key}={limit}": done / limit
            for key, done, limit in used
            if limit is not None
        }


@dataclass(frozen=True)
class Periods:
    """How often things happen, in steps; None: once per epoch. And in minutes; None: by steps alone.

    At the shares `keep_at` of the run, between 0 and 1, its checkpoint is scored and kept.
    """

    evaluate_every: int | None
    save_every: int | None
    log_every: int
    save_every_minutes: float | None = None
    keep_at: Sequence[float] = ()

    def seconds_to_save(self, *, is_first: bool) -> float:
        """The time after which a checkpoint is saved, the first of a start soon."""
        if self.save_every_minutes is None:
            return math.inf
        seconds = 60 * self.save_every_minutes
        return min(seconds, FIRST_SAVE_SECONDS) if is_first else seconds


@dataclass
class Position:
    """How far a run is, as a checkpoint has it."""

    step: Done = 0
    units: Done = 0
    seconds: Seconds = 0.0  # from the first step on, over all starts
    overhead_seconds: Seconds = 0.0  # of which were spent on evaluating and saving
    best_value: float | None = None
    best_step: Done = 0
    num_worse: Done = 0  # evaluations since the best
    last_scores: dict[str, float] = field(default_factory=dict)
    evaluated_step: Annotated[int, Range(-1, 10**15)] = -1
    is_evaluation_due: bool = False  # of the saved step; a kill may come before its end
    smoothed_loss: float | None = None  # the exponential moving average over the steps

    def smooth(self, loss: float) -> float:
        """The moving average with one step's loss more."""
        before = loss if self.smoothed_loss is None else self.smoothed_loss
        self.smoothed_loss = SMOOTHING * before + (1 - SMOOTHING) * loss
        return self.smoothed_loss
