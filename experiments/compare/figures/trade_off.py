"""Scores against what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments.compare.figures.style import GREY, MOST_LABELLED, Look, scale_axis, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def pareto_front(costs: np.ndarray, scores: np.ndarray, *, is_higher_better: bool) -> list[int]:
    """The groups that no other group beats in both cost and score, from the cheapest.

    Args:
        costs, scores: (G,), NaN where there is none.
        is_higher_better: of scores; costs are better lower.
    """
    gains = scores if is_higher_better else -scores
    front: list[int] = []
    for index in np.lexsort((-gains, costs)):  # the cheapest first, of equal ones the best
        known = np.isfinite(costs[index]) and np.isfinite(gains[index])
        if known and (not front or gains[index] > gains[front[-1]]):
            front.append(int(index))
    return front


def draw_trade_off(
    axes: Axes,
    labels: Sequence[str],
    costs: np.ndarray,
    scores: np.ndarray,
    intervals: Sequence[tuple[float, float] | None],
    looks: Sequence[Look],
    *,
    is_higher_better: bool,
) -> None:
    """Draw a point for each group with the interval of its mean score, and the Pareto front as a line.

    A legend can name the groups; where they are many, those of the front have labels alone, others are grey.

    Args:
        axes: empty.
        labels: of the G groups.
        costs, scores: (G,) means over runs.
        intervals: of the mean scores; None where there is none.
        looks: of the G groups.
        is_higher_better: of the scores.
    """
    front = pareto_front(costs, scores, is_higher_better=is_higher_better)
    named = set(range(len(labels))) if len(labels) <= MOST_LABELLED else set(front[-MOST_LABELLED:])
    for index, (label, look, interval) in enumerate(zip(labels, looks, intervals, strict=True)):
        colour = look.colour if index in named else GREY
        axes.plot(
            costs[index],
            scores[index],
            color=colour,
            marker=look.marker if index in named else ".",
            markersize=6,
            linestyle="",
            label=wrapped(label) if index in named else None,
            zorder=3,
        )
        if interval is not None:
            axes.vlines(costs[index], *interval, color=colour, linewidth=1, zorder=2)
    axes.plot(
        costs[front],
        scores[front],
        color="black",
        linewidth=0.8,
        linestyle=":",
        drawstyle="steps-post",
        label="best at its cost",
        zorder=1,
    )
    scale_axis(axes, costs.tolist())
    axes.margins(0.08)
