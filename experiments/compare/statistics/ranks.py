"""Which methods differ over many data sets: mean ranks and critical differences (Demsar 2006)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from experiments.compare.statistics.checks import Floats, finite, package

FEWEST_DATA_SETS = 5
FEWEST_METHODS = 3
SIGNIFICANCE = 0.05


@dataclass(frozen=True, eq=False)
class RankTest:
    """Mean ranks of methods, the Friedman test of all of them, and Nemenyi's of each pair."""

    ranks: Floats  # (methods,), 1 is the best; ties share the mean of their ranks
    friedman_p: float  # that all methods are equal; if it is not small, no pair may be said to differ
    p_values: Floats  # (methods, methods), of the pairs, corrected for their number; 1 on the diagonal
    critical_difference: float  # of mean ranks, from which on a pair differs at 5 %


def compare_ranks(scores: ArrayLike) -> RankTest | None:
    """The tests over data sets; None with fewer than 5 data sets or 3 methods, where they find nothing.

    Data sets are what varies: the claim is of new data sets, and seeds enter by their mean.

    Args:
        scores: the mean score of each method on each data set, (methods, data sets), higher is better.
    """
    values = finite(scores, "scores", dimensions=2)
    num_methods, num_sets = values.shape
    if num_sets < FEWEST_DATA_SETS or num_methods < FEWEST_METHODS:
        return None
    stats = package("scipy.stats")
    ranks = stats.rankdata(-values, axis=0).mean(axis=1)
    p_values = package("scikit_posthocs").posthoc_nemenyi_friedman(values.T).to_numpy()
    friedman_p = 1.0 if np.ptp(values, axis=0).max() == 0 else stats.friedmanchisquare(*values).pvalue
    range_point = stats.studentized_range.isf(SIGNIFICANCE, num_methods, math.inf) / math.sqrt(2)
    critical = range_point * math.sqrt(num_methods * (num_methods + 1) / (6 * num_sets))
    return RankTest(ranks, float(friedman_p), p_values, float(critical))
