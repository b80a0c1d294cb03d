"""Critical-difference diagrams: mean ranks over data sets, bars join what no test tells apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments.compare.figures.style import wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEVEL = 0.34  # the distance of two labels
_BAR = 0.16


def cliques(ranks: np.ndarray, p_values: np.ndarray, *, level: float) -> list[tuple[int, int]]:
    """The longest ranges of neighbours in which no pair differs: places of the first and last, in rank order.

    Args:
        ranks: (G,) mean ranks.
        p_values: (G, G) symmetric, of the pairs, corrected.
        level: below which a pair differs.
    """
    order = np.argsort(ranks, kind="stable")
    same = p_values[np.ix_(order, order)] >= level
    np.fill_diagonal(same, True)
    found: list[tuple[int, int]] = []
    for first in range(len(order)):
        last = first
        while last + 1 < len(order) and same[first : last + 2, first : last + 2].all():
            last += 1
        if last > first and not any(last <= end for _, end in found):
            found.append((first, last))
    return found


def draw_critical_differences(
    axes: Axes, labels: Sequence[str], ranks: np.ndarray, p_values: np.ndarray, *, level: float = 0.05
) -> None:
    """Draw mean ranks on a line, 1 (best) at the left; a bar joins groups that do not differ (Demsar 2006).

    Args:
        axes: empty.
        labels: of the G groups.
        ranks: (G,) mean ranks over the data sets, 1 the best.
        p_values: (G, G) of the pairs, corrected.
        level: below which a pair differs.
    """
    order = np.argsort(ranks, kind="stable")
    bars = cliques(ranks, p_values, level=level)
    num_left = (len(order) + 1) // 2
    below = -_BAR * (len(bars) + 1)
    for place, group in enumerate(order):
        is_left = place < num_left
        depth = place if is_left else len(order) - 1 - place
        y = below - _LEVEL * (depth + 0.6)
        edge = 1 - 0.04 * len(order) if is_left else len(order) + 0.04 * len(order)
        axes.plot([ranks[group], ranks[group], edge], [0, y, y], color="black", linewidth=0.8)
        text = f"{wrapped(labels[group])}  {ranks[group]:.2f}"
        axes.annotate(
            text,
            xy=(edge, y),
            xytext=(-3 if is_left else 3, 0),
            textcoords="offset points",
            ha="right" if is_left else "left",
            va="center",
            fontsize="small",
            annotation_clip=False,
        )
    for number, (first, last) in enumerate(bars):
        ends = [ranks[order[first]] - 0.03, ranks[order[last]] + 0.03]
        axes.plot(ends, [-_BAR * (number + 1)] * 2, color="black", linewidth=3.5, solid_capstyle="butt")
    axes.set(xlim=(1 - 0.04 * len(order), len(order) * 1.04), ylim=(below - _LEVEL * (num_left + 0.2), 0))
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("mean rank (1 is best)")
    axes.set_xticks(range(1, len(order) + 1))
    axes.set_yticks([])
    axes.spines[["left", "right", "bottom"]].set_visible(False)
