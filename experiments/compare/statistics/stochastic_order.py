"""Almost stochastic order: how far one method's scores are from being better in every quantile."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from experiments.compare.statistics.checks import Floats, finite, package
from experiments.compare.statistics.intervals import LEVEL

FEWEST_RUNS = 3


@dataclass(frozen=True)
class StochasticOrder:
    """0: the first method is better in all quantiles; 1: the second is; 0.5: neither."""

    ratio: float  # seen in these runs
    bound: float | None  # epsilon_min: the true ratio is below it with confidence `level`
    level: float


def stochastic_order(
    first: ArrayLike,
    second: ArrayLike,
    *,
    level: float = LEVEL,
    num_resamples: int = 3000,
    seed: int = 0,
) -> StochasticOrder:
    """The violation ratio of "the first method's scores are stochastically larger", and its upper bound
    epsilon_min by a bootstrap (del Barrio et al. 2018; Dror et al. 2019, section 4).

    It stands beside the t test, not in its place. A bound below 0.5 is read as "the first is almost
    stochastically better". Simulated with methods that do not differ (normal scores), this is so in 17 to 22
    percent of comparisons, whatever the number of seeds. A bound below 0.2 raises false alarms of 10 % at 3
    seeds, 6 % at 5, 4 % at 10 and 3 % at 20, in each direction. With fewer than 3 runs of a side there is no
    bound.

    Args:
        first: scores of its runs, (seeds,), higher is better: give negated losses.
        second: the same of the other method; its number of runs may differ.
    """
    one, two = np.sort(finite(first, "first")), np.sort(finite(second, "second"))
    ratio = float(_violation_ratio(one, two))
    if min(len(one), len(two)) < FEWEST_RUNS:
        return StochasticOrder(ratio, None, level)
    generator = np.random.default_rng(seed)
    drawn = [
        np.sort(side[generator.integers(0, len(side), (num_resamples, len(side)))], axis=1)
        for side in (one, two)
    ]
    deviation = float(_violation_ratio(*drawn).std())
    bound = ratio + float(package("scipy.special").ndtri(level)) * deviation
    return StochasticOrder(ratio, min(1.0, bound), level)


def _violation_ratio(first: Floats, second: Floats) -> Floats:
    """The squared distance of the quantile functions where the second is larger, as a share of all of it.

    The quantile functions of samples are steps, so that the integrals are sums. Equal samples have 0.5.

    Args:
        first: sorted scores, (..., n).
        second: the same, (..., m).
    """
    n, m = first.shape[-1], second.shape[-1]
    whole = math.lcm(n, m)  # the quantiles, counted in these parts, where either function steps
    edges = np.union1d(np.arange(0, whole + 1, whole // n), np.arange(0, whole + 1, whole // m))
    gaps = first[..., edges[:-1] // (whole // n)] - second[..., edges[:-1] // (whole // m)]
    squares = gaps**2 * np.diff(edges)
    total, violated = squares.sum(axis=-1), np.where(gaps < 0, squares, 0.0).sum(axis=-1)
    return np.where(total > 0, violated / np.where(total > 0, total, 1.0), 0.5)
