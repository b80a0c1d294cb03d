"""A row for each group: strips of runs with the mean and its interval, and differences with theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from experiments.compare.figures.style import GREY, Look, look_of, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROW_INCHES = 0.33
_MOST_INCHES = 60.0  # of a picture's height


class Estimates(NamedTuple):
    """An estimate for each row of a picture, under one claim.

    Attributes:
        claim: as the legend names it.
        values: (R,) NaN where there is none.
        low, high: (R,) the ends of the intervals; NaN where there is none.
        significant: (R,) whether the test, corrected, rejects "no difference"; its markers are filled.
    """

    claim: str
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray
    significant: Sequence[bool]


def height_of(num_rows: int) -> float:
    """The height in inches of a picture with a number of rows."""
    return min(0.9 + _ROW_INCHES * max(num_rows, 2), _MOST_INCHES)


def draw_strips(
    axes: Axes,
    labels: Sequence[str],
    scores: Sequence[np.ndarray],
    estimates: Sequence[float],
    intervals: Sequence[tuple[float, float] | None],
    looks: Sequence[Look],
) -> None:
    """Draw a dot for each run, above them the group's estimate with its interval, and n.

    Args:
        axes: empty.
        labels: of the G groups.
        scores: of the G groups' runs.
        estimates: of the G groups, such as the means.
        intervals: of the G estimates; None where there is none, as for one run.
        looks: of the G groups.
    """
    rows = zip(scores, estimates, intervals, looks, strict=True)
    for row, (values, estimate, interval, look) in enumerate(rows):
        places = row + 0.16 + _beside(len(values))
        axes.scatter(values, places, s=14, color=look.colour, marker=look.marker, alpha=0.75, linewidth=0)
        if interval is not None:
            axes.plot(interval, [row - 0.16] * 2, color="black", linewidth=1.4, solid_capstyle="butt")
        axes.plot([estimate], [row - 0.16], color="black", marker="|", markersize=9, markeredgewidth=1.8)
        axes.annotate(
            f"n = {len(values)}",
            xy=(1.01, row),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize="small",
            color="dimgrey",
        )
    _name_rows(axes, labels)
    axes.grid(axis="x", color="gainsboro", linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)


def draw_differences(
    axes: Axes,
    labels: Sequence[str],
    estimates: Sequence[Estimates],
    *,
    reference: float | None,
    names: tuple[str, str] | None = ("significant", "not significant"),
) -> None:
    """Draw a forest plot: in each row an estimate with its interval for each claim, against a reference.

    Args:
        axes: empty.
        labels: of the R rows.
        estimates: of each claim.
        reference: the value of "no difference", if there is one.
        names: of filled and empty markers in the legend above; None: there is no legend.
    """
    if reference is not None:
        axes.axvline(reference, color=GREY, linewidth=0.9, zorder=0)
    for number, claim in enumerate(estimates):
        look = look_of((0, 3, 2, 4)[number % 4])
        rows = np.arange(len(labels)) + 0.3 * (number - (len(estimates) - 1) / 2)
        known = np.isfinite(claim.low) & np.isfinite(claim.high)
        axes.hlines(rows[known], claim.low[known], claim.high[known], color=look.colour, linewidth=1.3)
        filled = np.array(claim.significant, dtype=bool)
        for mask, face, note in zip(
            (filled, ~filled), (look.colour, "white"), names or ("", ""), strict=True
        ):
            if mask.any():
                axes.scatter(
                    claim.values[mask],
                    rows[mask],
                    s=22,
                    marker=look.marker,
                    facecolor=face,
                    edgecolor=look.colour,
                    linewidth=1.1,
                    zorder=3,
                    label=": ".join(filter(None, (claim.claim, note))),
                )
    _name_rows(axes, labels)
    if names is not None:
        axes.get_figure(root=True).legend(loc="outside upper left", fontsize="small", frameon=False)  # type: ignore[union-attr]


def _beside(number: int) -> np.ndarray:
    """Small heights that alternate, so that runs of nearly the same score do not cover each other."""
    if number < 2:
        return np.zeros(number)
    return 0.14 * (np.arange(number) * 0.618034 % 1 * 2 - 1)


def _name_rows(axes: Axes, labels: Sequence[str]) -> None:
    """The labels from above to below, beside their rows."""
    axes.set_yticks(range(len(labels)), [wrapped(label, width=44) for label in labels], fontsize="small")
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
