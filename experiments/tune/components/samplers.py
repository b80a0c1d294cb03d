"""The samplers, which choose the values of each trial: components that make one of Optuna's."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from elmo.registry import REGISTRY
from elmo.values import Count, Seed

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class Sampler(Protocol):
    """Describes a sampler of Optuna's."""

    min_numbers: int  # how many parameters of numbers it needs
    seed: int

    def create(self, *, seed: int) -> BaseSampler:
        """A sampler whose draws follow from a seed."""
        ...


@REGISTRY.register("sampler", "random")
class RandomSampler:
    """Independent draws from the space (Bergstra and Bengio 2012).

    Args:
        seed: of the draws.
    """

    min_numbers = 0

    def __init__(self, *, seed: Seed) -> None:
        self.seed = seed

    def create(self, *, seed: int) -> BaseSampler:
        from optuna.samplers import RandomSampler

        return RandomSampler(seed=seed)


@REGISTRY.register("sampler", "tpe")
class TPESampler:
    """Tree-structured Parzen estimator (Bergstra et al. 2011), over all parameters jointly.

    Args:
        num_startup_trials: drawn at random before the estimator is used.
        seed: of the draws.
    """

    min_numbers = 0

    def __init__(self, *, num_startup_trials: Count, seed: Seed) -> None:
        self.num_startup_trials, self.seed = num_startup_trials, seed

    def create(self, *, seed: int) -> BaseSampler:
        from optuna.samplers import TPESampler

        # By groups of parameters that occur together, or those with a condition would be drawn at random.
        return _quietly(
            lambda: TPESampler(
                n_startup_trials=self.num_startup_trials, multivariate=True, group=True, seed=seed
            )
        )


@REGISTRY.register("sampler", "cmaes")
class CmaEsSampler:
    """Covariance matrix adaptation (Hansen 2016) of the numbers; other parameters are drawn at random.

    Args:
        num_startup_trials: drawn at random before the adaptation begins.
        seed: of the draws.
    """

    min_numbers = 2

    def __init__(self, *, num_startup_trials: Count, seed: Seed) -> None:
        self.num_startup_trials, self.seed = num_startup_trials, seed

    def create(self, *, seed: int) -> BaseSampler:
        from optuna.samplers import CmaEsSampler, RandomSampler

        return _quietly(
            lambda: CmaEsSampler(
                n_startup_trials=self.num_startup_trials,
                independent_sampler=RandomSampler(seed=seed),
                warn_independent_sampling=False,
                seed=seed,
            )
        )


def _quietly(make: Callable[[], Any]) -> Any:
    """What is made, without Optuna's warnings that an argument is experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()
