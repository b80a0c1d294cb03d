"""Budget curves: the score that k trials of a search are expected to reach (Dodge et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from experiments.compare.statistics.checks import Floats, finite


@dataclass(frozen=True, eq=False)
class ExpectedBest:
    """The best of k trials on dev, for each k from 1 to the number of trials N; all arrays (N,)."""

    validation: Floats  # its expected score
    deviation: Floats  # the standard deviation of this score
    low: Floats  # the band of one deviation, within the scores that occurred
    high: Floats


def expected_best(validation: ArrayLike) -> ExpectedBest:
    """The exact expectation over k trials drawn from those that were run, with replacement (equation 8).

    The best of k is at most the i-th score with probability (i / N)^k. Near k = N, the curve and its band
    rest on few trials: the best one is never exceeded, the expectation is somewhat low (Tang et al. 2020).

    Args:
        validation: dev score of each trial, (N,), higher is better: give negated losses.
    """
    dev = np.sort(finite(validation, "validation"))
    num_trials = np.arange(1, len(dev) + 1)
    below = (np.arange(len(dev) + 1) / len(dev)) ** num_trials[:, None]
    best = np.diff(below, axis=1)  # the probability that of k trials (row) this one (column) is the best
    mean = best @ dev
    deviation = np.sqrt(np.sum(best * (dev - mean[:, None]) ** 2, axis=1))
    low, high = (np.clip(mean + sign * deviation, dev[0], dev[-1]) for sign in (-1, 1))
    return ExpectedBest(mean, deviation, low, high)
