"""Figures over several data sets and seeds (Agarwal et al. 2021), with stratified bootstrap intervals.

A table of scores has an array of runs for each data set, whose sizes may differ. Scores are such that higher
is better: give negated losses. Resampling draws the runs of each data set apart. With few seeds the intervals
are too narrow, as all of the bootstrap are (`python -m experiments.benchmark statistics` says how much); with
a single run of each data set there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from elmo.errors import InputError
from experiments.compare.statistics.checks import Floats, finite, package
from experiments.compare.statistics.intervals import LEVEL

NUM_RESAMPLES = 2000
Table = Sequence[Floats]  # of each data set the runs' scores, (..., runs)


@dataclass(frozen=True, eq=False)
class Aggregate:
    """A figure, or several of them, with the ends of the interval; None without runs to resample."""

    estimate: Floats  # () or (figures,)
    low: Floats | None
    high: Floats | None
    level: float


def interquartile_mean(
    scores: Sequence[ArrayLike],
    *,
    level: float = LEVEL,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Aggregate:
    """The mean of the middle half of all runs' scores, from all data sets together.

    Of n scores, the lowest and the highest n // 4 are left out, as scipy's `trim_mean` does. A data set with
    more runs weighs more.

    Args:
        scores: the table of a method: for each data set its runs' scores.
    """

    def middle(table: Table) -> Floats:
        pooled = np.sort(np.concatenate(table, axis=-1), axis=-1)
        cut = pooled.shape[-1] // 4
        return pooled[..., cut : pooled.shape[-1] - cut].mean(axis=-1)

    return _resampled(middle, [_table(scores, "scores")], level, num_resamples, seed)


def probability_of_improvement(
    first: Sequence[ArrayLike],
    second: Sequence[ArrayLike],
    *,
    level: float = LEVEL,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Aggregate:
    """That a run of the first method is better than one of the second, the mean over the data sets.

    Of each data set it is the Mann-Whitney statistic as a share of all pairs of runs; ties count half.

    Args:
        first: the table of a method: for each data set its runs' scores.
        second: the same of the other, with the same data sets in the same order.
    """
    tables = _table(first, "first"), _table(second, "second")
    if len(tables[0]) != len(tables[1]):
        raise InputError(f"first and second: {len(tables[0])} and {len(tables[1])} data sets; give the same")

    rankdata = package("scipy.stats").rankdata

    def improvement(one: Table, two: Table) -> Floats:
        shares = []
        for x, y in zip(one, two, strict=True):
            n, m = x.shape[-1], y.shape[-1]
            ranks = rankdata(np.concatenate([x, y], axis=-1), axis=-1)[..., :n]  # faster than all pairs
            shares.append((ranks.sum(axis=-1) - n * (n + 1) / 2) / (n * m))
        return np.mean(shares, axis=0)

    return _resampled(improvement, tables, level, num_resamples, seed)


def performance_profile(
    scores: Sequence[ArrayLike],
    thresholds: ArrayLike,
    *,
    level: float = LEVEL,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Aggregate:
    """The share of runs with a score above each threshold, the mean over the data sets, with its band.

    Args:
        scores: the table of a method: for each data set its runs' scores.
        thresholds: (thresholds,).
    """
    limits = finite(thresholds, "thresholds")

    def profile(table: Table) -> Floats:
        return np.mean([(runs[..., None] > limits).mean(axis=-2) for runs in table], axis=0)

    return _resampled(profile, [_table(scores, "scores")], level, num_resamples, seed)


def _resampled(
    statistic: Callable[..., Floats], tables: Sequence[Table], level: float, num_resamples: int, seed: int
) -> Aggregate:
    """The statistic of the tables, with the percentiles over tables whose runs are drawn with replacement."""
    estimate = np.asarray(statistic(*tables))
    if all(len(runs) == 1 for table in tables for runs in table):
        return Aggregate(estimate, None, None, level)
    generator = np.random.default_rng(seed)
    drawn = [
        [runs[generator.integers(0, len(runs), (num_resamples, len(runs)))] for runs in table]
        for table in tables
    ]
    low, high = np.quantile(statistic(*drawn), [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Aggregate(estimate, np.asarray(low), np.asarray(high), level)


def _table(scores: Sequence[ArrayLike], name: str) -> Table:
    if not len(scores):
        raise InputError(f"{name}: there is no data set")
    return [finite(runs, f"{name}, data set {place}") for place, runs in enumerate(scores)]
