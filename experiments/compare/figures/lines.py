"""Lines with bands: learning curves, a score against a number, budget curves, performance profiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from experiments.compare.figures.style import Look, label_ends, scale_axis, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BAND_ROOM = 0.4  # for bands above and below all lines and runs, as a share of what those span
_MOST_THIN = 40  # lines of single runs in a picture


class Line(NamedTuple):
    """A group's line.

    Attributes:
        label: as it is written.
        look: of the group.
        x: (P,) increasing.
        middle: (P,) such as the mean over runs.
        low, high: (P,) the edges of the band; NaN where there is none, such as for one run.
        runs: x and y of single runs, drawn thinly, or as dots where they have one point.
    """

    label: str
    look: Look
    x: np.ndarray
    middle: np.ndarray
    low: np.ndarray
    high: np.ndarray
    runs: Sequence[tuple[np.ndarray, np.ndarray]] = ()


def draw_lines(
    axes: Axes,
    lines: Sequence[Line],
    *,
    is_step: bool = False,
    is_marked: bool = False,
    names_ends: bool = True,
) -> None:
    """Draw lines with bands, and each label right of the axes, at the height of the line's end.

    Args:
        axes: empty.
        lines: at most a dozen.
        is_step: whether the value of a point holds until the next one.
        is_marked: whether each point has a marker, else the last one alone.
        names_ends: whether the labels are written, else `legend_of` names the lines.
    """
    alpha = min(0.18, 0.9 / max(len(lines), 1))  # many bands cover each other
    for line in lines:
        _draw_line(axes, line, is_step=is_step, is_marked=is_marked, alpha=alpha)
    _draw_runs(axes, lines)
    if is_marked:
        scale_axis(axes, [float(value) for line in lines for value in line.x], has_ticks=True)
    axes.margins(x=0.02)
    axes.autoscale_view()
    _keep_lines_large(axes, lines)
    if names_ends:
        ended = [(line, end) for line in lines if (end := _end(line)) is not None]
        label_ends(axes, [line.label for line, _ in ended], [end for _, end in ended])


def legend_of(figure: Figure, looks: Mapping[str, Look]) -> None:
    """Name lines in a legend above the panels of a figure."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            color=look.colour,
            linestyle=look.dash,
            marker=look.marker,
            markersize=4,
            label=wrapped(name),
        )
        for name, look in looks.items()
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=3, fontsize="small", frameon=False)


def _draw_line(axes: Axes, line: Line, *, is_step: bool, is_marked: bool, alpha: float) -> None:
    colour, dash, marker = line.look
    axes.plot(
        line.x,
        line.middle,
        color=colour,
        linestyle=dash,
        marker=marker,
        markevery=None if is_marked else np.flatnonzero(np.isfinite(line.middle))[-1:].tolist(),
        markersize=4,
        linewidth=1.4,
        drawstyle="steps-post" if is_step else "default",
        zorder=3,
    )
    axes.fill_between(
        line.x,
        line.low,
        line.high,
        color=colour,
        alpha=alpha,
        linewidth=0,
        step="post" if is_step else None,
        zorder=2,
    )


def _draw_runs(axes: Axes, lines: Sequence[Line]) -> None:
    """Single points as dots; curves thinly, unless there are so many that only a smear would be seen."""
    from matplotlib.collections import LineCollection

    total = sum(len(line.runs) for line in lines)
    for line in lines:
        dots = [(x[0], y[0]) for x, y in line.runs if len(x) == 1]
        curves = [np.column_stack([x, y]) for x, y in line.runs if len(x) > 1]
        if dots:
            x, y = np.array(dots).T
            axes.scatter(x, y, s=7, color=line.look.colour, alpha=0.6, linewidth=0)
        if curves and total <= _MOST_THIN:
            axes.add_collection(
                LineCollection(curves, colors=line.look.colour, linewidths=0.5, alpha=0.45, zorder=2)
            )


def _keep_lines_large(axes: Axes, lines: Sequence[Line]) -> None:
    """Cut bands far away from all lines and runs: that of two runs is twelve times as wide as they differ."""
    values = np.concatenate(
        [np.ravel(y) for line in lines for y in (line.middle, *(y for _, y in line.runs))]
    )
    known = values[np.isfinite(values)]
    if len(known):
        least, most = known.min(), known.max()
        room = _BAND_ROOM * (most - least) or np.inf
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, least - room), min(high, most + room))


def _end(line: Line) -> tuple[float, float] | None:
    """The last point of a line that has a value."""
    known = np.flatnonzero(np.isfinite(line.middle))
    return (float(line.x[known[-1]]), float(line.middle[known[-1]])) if len(known) else None
