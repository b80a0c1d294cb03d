"""Confidence intervals: Student's t over seeds, and the resampling of test examples for a bootstrap."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from elmo.errors import InputError
from experiments.compare.statistics.checks import Floats, finite, package

LEVEL = 0.95  # of the intervals, unless another is asked for
NUM_RESAMPLES = 10_000
_NUMBERS_AT_ONCE = 2_000_000  # of a block of resamples: 16 MB


@dataclass(frozen=True)
class SeedInterval:
    """Student's t interval of the mean score over seeds."""

    mean: float
    low: float
    high: float
    n: int
    deviation: float  # of one seed's score: the standard deviation with n - 1
    level: float


def t_interval(scores: ArrayLike, *, level: float = LEVEL) -> SeedInterval | None:
    """The interval of the mean over seeds; None of a single score, which says nothing of the spread.

    Scores that are all equal have an interval of width zero: what the formula says, and no proof that a
    further seed would have the same score.

    Args:
        scores: of the runs, (seeds,); of a nested design the means of the biLMs (`retrained.means_within`).
    """
    values = finite(scores, "scores")
    n, mean = len(values), float(values.mean())
    if n == 1:
        return None
    deviation = float(values.std(ddof=1))
    half = quantile_of_t(level, n - 1) * deviation / math.sqrt(n)
    return SeedInterval(mean, mean - half, mean + half, n, deviation, level)


def quantile_of_t(level: float, degrees_of_freedom: float) -> float:
    """How many standard errors a two-sided interval of Student's t reaches from its middle."""
    return float(package("scipy.special").stdtrit(degrees_of_freedom, (1 + level) / 2))


def resampled_sums(parts: Floats, num_resamples: int, *, seed: int) -> Floats:
    """The sums of parts over examples that are drawn with replacement, (num_resamples, parts).

    Args:
        parts: of each example, (examples, parts).
    """
    if num_resamples < 1:
        raise InputError(f"num_resamples: at least 1 expected, got {num_resamples}")
    generator = np.random.default_rng(seed)
    n = len(parts)
    block = max(1, _NUMBERS_AT_ONCE // n)
    sums = []
    for size in [block] * (num_resamples // block) + [num_resamples % block] * (num_resamples % block > 0):
        drawn = generator.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)  # each example is drawn
        sums.append(times @ parts)
    return np.concatenate(sums)


def percentiles(values: Floats, level: float) -> tuple[float, float]:
    """The ends of the middle part of the values, of size `level`."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
