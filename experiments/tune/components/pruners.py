"""The pruners, which end a trial that falls behind: components that make one of Optuna's.

A trial's evaluations on dev are counted from 1, whatever its steps are: trials are compared after as many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Protocol

from elmo.registry import REGISTRY
from elmo.values import Count, Range

if TYPE_CHECKING:
    from optuna.pruners import BasePruner


class Pruner(Protocol):
    """Describes a pruner of Optuna's."""

    def create(self) -> BasePruner: ...


@REGISTRY.register("pruner", "none")
class NoPruner:
    """Every trial is trained to its end."""

    def create(self) -> BasePruner:
        from optuna.pruners import NopPruner

        return NopPruner()


@REGISTRY.register("pruner", "median")
class MedianPruner:
    """Ends a trial whose best score so far is worse than the median of the others' after as many evaluations.

    Args:
        num_startup_trials: that are complete before any is ended.
        num_warmup_evaluations: of a trial, after which it is not ended.
    """

    def __init__(
        self, *, num_startup_trials: Count, num_warmup_evaluations: Annotated[int, Range(0, 10**9)]
    ) -> None:
        self.num_startup_trials, self.num_warmup_evaluations = num_startup_trials, num_warmup_evaluations

    def create(self) -> BasePruner:
        from optuna.pruners import MedianPruner

        return MedianPruner(
            n_startup_trials=self.num_startup_trials, n_warmup_steps=self.num_warmup_evaluations + 1
        )


@REGISTRY.register("pruner", "hyperband")
class HyperbandPruner:
    """Successive halving with several budgets to begin with (Li et al. 2018, Hyperband).

    Args:
        min_evaluations: before a trial may be ended.
        max_evaluations: of a whole trial; None: those of the longest so far.
        reduction_factor: of this many trials, one goes on at each rung.
    """

    def __init__(
        self,
        *,
        min_evaluations: Count,
        max_evaluations: Count | None,
        reduction_factor: Annotated[int, Range(2, 100)],
    ) -> None:
        self.min_evaluations, self.max_evaluations = min_evaluations, max_evaluations
        self.reduction_factor = reduction_factor

    def create(self) -> BasePruner:
        from optuna.pruners import HyperbandPruner

        return HyperbandPruner(
            min_resource=self.min_evaluations,
            max_resource="auto" if self.max_evaluations is None else self.max_evaluations,
            reduction_factor=self.reduction_factor,
        )
