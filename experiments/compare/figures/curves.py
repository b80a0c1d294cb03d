"""The dev score of a group's runs against steps, tokens or seconds, with its mean and band over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.compare.statistics.intervals import LEVEL, quantile_of_t

_NUM_POINTS = 60  # of a mean of curves that have no points in common


class Curve(NamedTuple):
    """The points of a run.

    Attributes:
        steps: (P,) increasing.
        x: (P,) the same in another unit, such as seconds.
        y: (P,) the metric.
    """

    steps: np.ndarray
    x: np.ndarray
    y: np.ndarray


class Band(NamedTuple):
    """A mean over runs, and its interval at each point.

    Attributes:
        x: (P,)
        mean: (P,)
        low, high: (P,) the ends of Student's t interval; NaN for one run.
    """

    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def curve_of(events: Iterable[Mapping[str, Any]], metric: str, *, unit: str) -> Curve:
    """The points of a run at which it was evaluated.

    A run that was resumed may have gone back some steps: of two events of a step the later one counts.

    Args:
        events: of the run, in their order.
        metric: such as dev/accuracy.
        unit: of x: step, tokens, examples or seconds.
    """
    points = {
        event["step"]: (event["step"], event[unit], event[metric])
        for event in events
        if event.get(metric) is not None and event.get(unit) is not None
    }
    return Curve(*np.array([points[step] for step in sorted(points)], dtype=float).reshape(-1, 3).T)


def band_of(x: np.ndarray, values: np.ndarray) -> Band:
    """The mean and Student's t interval at each point, from (runs, P) values."""
    n, mean = len(values), values.mean(axis=0)
    if n == 1:
        return Band(x, mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan))
    half = quantile_of_t(LEVEL, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n)
    return Band(x, mean, mean - half, mean + half)


def mean_curve(curves: Sequence[Curve]) -> Band | None:
    """The mean of curves at the steps that all of them reached; None if there are no such steps.

    Behind the end of the shortest run there is no mean: that of the runs which are left would be one of a
    choice. Where the runs were evaluated at other steps, their curves are interpolated. At each step x is the
    mean over the runs as well, so that seconds differ between runs and the points stay the same.
    """
    first, last = max(curve.steps[0] for curve in curves), min(curve.steps[-1] for curve in curves)
    if first > last:
        return None
    inside = [curve.steps[(curve.steps >= first) & (curve.steps <= last)] for curve in curves]
    are_equal = all(np.array_equal(steps, inside[0]) for steps in inside)
    grid = inside[0] if are_equal else np.linspace(first, last, _NUM_POINTS)
    x = np.mean([np.interp(grid, curve.steps, curve.x) for curve in curves], axis=0)
    return band_of(x, np.stack([np.interp(grid, curve.steps, curve.y) for curve in curves]))
