"""Holm's correction of the p-values of all pairs that a table shows."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.compare.statistics.checks import finite, package


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """The adjusted p-values (Holm 1979), in the same order.

    A pair that could not be tested (None) stays None and does not count. A table calls those differences
    found whose adjusted p is below the level: the probability of any false alarm in it is then below the
    level, too.
    """
    tested = [p for p in p_values if p is not None]
    if not tested:
        return list(p_values)
    adjusted = iter(
        package("statsmodels.stats.multitest").multipletests(finite(tested, "p-values"), method="holm")[1]
    )
    return [None if p is None else float(next(adjusted)) for p in p_values]
