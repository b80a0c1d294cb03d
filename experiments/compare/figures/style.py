"""What all pictures of a comparison share: a group's colour, dash and marker, short labels, axes' names."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tasks.pictures import literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Wong (2011), "Points of view: Color blindness", without its yellow, which is too light for a line.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
_DASHES = (None, (0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))
_MARKERS = "os^DvPX<>"
GREY = "#8a8a8a"
MOST_LABELLED = 12  # groups that a picture of lines names; more cannot be told apart
_LINE_POINTS = 9.5  # the height of a line of small text
_LOG_FROM = 20.0  # an axis whose largest value is as many times the smallest is logarithmic
_WORDS = {"f1": "F1", "macro_f1": "macro F1", "micro_f1": "micro F1"}


class Look(NamedTuple):
    """How a group is drawn in every picture; the three differ together, so that no colour is needed.

    Attributes:
        colour: as matplotlib takes it.
        dash: of its lines.
        marker: of its points.
    """

    colour: str
    dash: tuple[float, Sequence[float]] | None
    marker: str


def look_of(index: int) -> Look:
    """The look of the group at a place; 252 groups differ in at least one of the three."""
    return Look(
        _COLOURS[index % len(_COLOURS)], _DASHES[index % len(_DASHES)], _MARKERS[index % len(_MARKERS)]
    )


def wrapped(label: str, *, width: int = 34, lines: int = 2) -> str:
    """A label on few lines; of a longer one the middle is left out, as labels differ at their ends.

    A label that has line ends keeps them, and each of its lines is shortened for itself.
    """
    given = label.splitlines()
    if len(given) > 1:
        return "\n".join(wrapped(line, width=width, lines=1) for line in given)
    parts = textwrap.wrap(label, width) or [""]
    if len(parts) > lines:
        whole = width if lines > 1 else width // 2
        end = label[2 - whole :]
        parts = [*parts[: lines - 1], "… " + (end.partition(" ")[2] or end)]
        parts = parts if lines > 1 else [f"{label[: width - len(parts[-1])].rstrip()} {parts[-1]}"]
    return literal("\n".join(parts))


def axis_label(metric: str) -> str:
    """A metric's name with its unit; all scores of this framework are in percent (see `tasks`)."""
    split, _, name = metric.rpartition("/")
    words = f"{split} {_WORDS.get(name, name.replace('_', ' '))}".strip()
    if "perplexity" in name:
        return words
    return f"{words} (nats)" if "loss" in name else f"{words} (%)"


def time_unit(seconds: Sequence[float]) -> tuple[float, str]:
    """What a time is divided by, and its unit, for the largest of several times."""
    longest = max(seconds, default=0)
    return (3600.0, "hours") if longest >= 7200 else (60.0, "minutes") if longest >= 300 else (1.0, "seconds")


def scale_axis(axes: Axes, values: Sequence[float], *, has_ticks: bool = False) -> None:
    """Make the x axis logarithmic if its values are positive and span more than a decade.

    Args:
        axes: with its x axis.
        values: that are drawn.
        has_ticks: whether the ticks stand at the values, if those are few.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    known = sorted({float(value) for value in values if np.isfinite(value)})
    is_log = len(known) > 1 and known[0] > 0 and known[-1] / known[0] >= _LOG_FROM
    if is_log:
        axes.set(xscale="log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    if has_ticks and 1 < len(known) <= (8 if is_log else 5):
        axes.set_xticks(known, [f"{value:g}" for value in known])
        axes.set_xticks([], minor=True)


def label_ends(axes: Axes, labels: Sequence[str], ends: Sequence[tuple[float, float]]) -> None:
    """Write labels right of the axes, each at the height of its line's end, moved so that none overlap.

    Args:
        axes: with their limits and scales set.
        labels: as they are written.
        ends: the last point of each line.
    """
    if not labels:
        return
    height = 72 * 0.85 * axes.get_figure(root=True).get_size_inches()[1]  # type: ignore[union-attr]
    to_axes = axes.transScale + axes.transLimits
    places = [to_axes.transform(end) for end in ends]
    heights = [(label.count("\n") + 1.3) * _LINE_POINTS / height for label in labels]
    moved_heights = spread([y for _, y in places], heights)
    for label, (x, y), moved in zip(labels, places, moved_heights, strict=True):
        axes.annotate(
            label,
            xy=(x, y),
            xytext=(1.05, moved),
            xycoords="axes fraction",
            textcoords="axes fraction",
            va="center",
            fontsize="small",
            linespacing=1.0,
            arrowprops={  # pale, lest it be taken for the line's continuation
                "arrowstyle": "-",
                "color": "silver",
                "linewidth": 0.6,
                "shrinkA": 1,
                "shrinkB": 3,
                "relpos": (0, 0.5),
            },
        )


def spread(middles: Sequence[float], heights: Sequence[float]) -> list[float]:
    """The middles moved as little as possible (least squares), so that spans of the heights do not overlap.

    They stay between 0 and 1 if there is room.
    In the order of the middles, the distance of two neighbours is to be at least half of their heights; after
    the needed distances are subtracted, this is an isotonic regression, solved by pooling neighbours.
    """
    order = sorted(range(len(middles)), key=lambda index: middles[index])
    gaps = [(heights[a] + heights[b]) / 2 for a, b in itertools.pairwise(order)]
    offsets = np.cumsum([0.0, *gaps])
    pools: list[tuple[float, int]] = []
    for index, offset in zip(order, offsets, strict=True):
        pools.append((middles[index] - offset, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (second, m), (first, n) = pools.pop(), pools.pop()
            pools.append(((first * n + second * m) / (n + m), n + m))
    lowest = heights[order[0]] / 2
    highest = max(lowest, 1 - heights[order[-1]] / 2 - offsets[-1])
    moved = [min(max(value, lowest), highest) for value, count in pools for _ in range(count)]
    return [float(moved[order.index(i)] + offsets[order.index(i)]) for i in range(len(middles))]
