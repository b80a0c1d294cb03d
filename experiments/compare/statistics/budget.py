"""Budget curves: the score that k trials of a search are expected to reach (Dodge et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from elmo.errors import InputError
from experiments.compare.statistics.checks import Floats, finite


@dataclass(frozen=True, eq=False)
class ExpectedBest:
    """The best of k trials on dev, for each k from 1 to the number of trials N; all arrays (N,)."""

    validation: Floats  # its expected score
    deviation: Floats  # the standard deviation of this score
    low: Floats  # the band of one deviation, within the scores that occurred
    high: Floats
    test: Floats | None  # the expected test score of the trial that is chosen on dev
    test_deviation: Floats | None


def expected_best(validation: ArrayLike, test: ArrayLike | None = None) -> ExpectedBest:
    """The exact expectation over k trials drawn from those that were run, with replacement (equation 8).

    The best of k is at most the i-th score with probability (i / N)^k. Near k = N, the curve and its band
    rest on few trials: the best one is never exceeded, the expectation is somewhat low (Tang et al. 2020).
    Trials with equal validation scores are chosen with equal probability.

    Args:
        validation: dev score of each trial, (N,), higher is better: give negated losses.
        test: test score of each trial, (N,).
    """
    dev = finite(validation, "validation")
    order = np.argsort(dev, kind="stable")
    dev = dev[order]
    num_trials = np.arange(1, len(dev) + 1)
    below = (np.arange(len(dev) + 1) / len(dev)) ** num_trials[:, None]
    chosen = np.diff(below, axis=1)  # the probability that of k trials (row) this one (column) is the best
    _, starts, counts = np.unique(dev, return_index=True, return_counts=True)
    chosen = np.repeat(np.add.reduceat(chosen, starts, axis=1) / counts, counts, axis=1)
    mean, deviation = _moments(chosen, dev)
    low, high = (np.clip(mean + sign * deviation, dev[0], dev[-1]) for sign in (-1, 1))
    if test is None:
        return ExpectedBest(mean, deviation, low, high, None, None)
    scores = finite(test, "test")
    if len(scores) != len(dev):
        raise InputError(f"test: a score for each of {len(dev)} trials expected, got {len(scores)}")
    return ExpectedBest(mean, deviation, low, high, *_moments(chosen, scores[order]))


def _moments(weights: Floats, values: Floats) -> tuple[Floats, Floats]:
    """The mean and standard deviation of the values under each row of weights."""
    mean = weights @ values
    return mean, np.sqrt(np.sum(weights * (values - mean[:, None]) ** 2, axis=1))
