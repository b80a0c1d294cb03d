"""Scores of predicted numbers against gold ones: correlations and the squared error.

Shape legend: N pairs.
"""

from __future__ import annotations

import numpy as np


def pearson(predicted_N: np.ndarray, gold_N: np.ndarray) -> float:
    """Pearson's correlation coefficient, from -1 to 1; 0 if one side is constant, where it is undefined."""
    if np.ptp(predicted_N) == 0 or np.ptp(gold_N) == 0:
        return 0.0
    return float(np.corrcoef(np.float64(predicted_N), np.float64(gold_N))[0, 1])


def spearman(predicted_N: np.ndarray, gold_N: np.ndarray) -> float:
    """Spearman's rank correlation: Pearson's of the ranks, equal values with the mean of their ranks."""
    return pearson(ranks(predicted_N), ranks(gold_N))


def ranks(values_N: np.ndarray) -> np.ndarray:
    """(N,) the rank of each value from 1; equal values have the mean of their ranks."""
    _, places_N, counts = np.unique(values_N, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return ((last - counts + 1 + last) / 2)[places_N]
