"""Holm's correction of the p-values of all pairs that a table shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.compare.statistics.checks import finite


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """The adjusted p-values (Holm 1979), in the same order: of n, the i-th smallest times n - i + 1, but not
    below any smaller one's and at most 1.

    A pair that could not be tested (None) stays None and does not count. A table calls those differences
    found whose adjusted p is below the level: the probability of any false alarm in it is then below the
    level, too.
    """
    tested = [p for p in p_values if p is not None]
    if not tested:
        return list(p_values)
    values = finite(tested, "p-values")
    order = np.argsort(values)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)))
    given = iter(adjusted.tolist())
    return [None if p is None else next(given) for p in p_values]
