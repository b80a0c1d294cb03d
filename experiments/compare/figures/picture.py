"""A picture of a comparison: its name, its caption and how it is drawn; what several kinds have in common."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.compare.comparison import Comparison, Group, Interval
from experiments.compare.figures.style import Look, axis_label, look_of, wrapped
from tasks.pictures import empty_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RESOLUTION = 160  # dots per inch of a PNG; who needs more has the PDF
_PANEL = (6.6, 3.8)  # inches, with the labels beside it
_SMALL_PANEL = (3.4, 2.9)
_PANELS_PER_ROW = 3


@dataclass(frozen=True)
class Picture:
    """A picture.

    Attributes:
        name: of its files, without an ending.
        title: as a heading says what it shows.
        caption: what is drawn, and how it is to be read.
        size: width and height in inches.
        draw: fills an empty figure.
    """

    name: str
    title: str
    caption: str
    size: tuple[float, float]
    draw: Callable[[Figure], None]

    def write(self, path: Path) -> list[Path]:
        """Write it as PNG and PDF into a directory; the paths."""
        paths = [path / f"{self.name}.{kind}" for kind in ("png", "pdf")]
        for place in paths:
            save_figure(self.figure, place, resolution=RESOLUTION)
        return paths

    def svg(self) -> str:
        """It as SVG, whose words are outlines, so that no font is needed."""
        text = io.StringIO()
        self.figure.savefig(text, format="svg", metadata={"Date": None})
        return text.getvalue()

    @functools.cached_property
    def figure(self) -> Figure:
        """It drawn; its layout, which takes as long as the drawing, is computed once for all formats."""
        figure = empty_figure(self.size)
        self.draw(figure)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        return figure


def looks_of(comparison: Comparison) -> dict[str, Look]:
    """The look of each system, which is the same in all pictures and for all data sets."""
    systems = dict.fromkeys(group.system for group in comparison.groups)
    return {system: look_of(index) for index, system in enumerate(systems)}


def groups_by_data_set(comparison: Comparison) -> dict[str, list[Group]]:
    """The groups of each data set, in their order."""
    return {
        name: [group for group in comparison.groups if group.data_set == name]
        for name in comparison.data_sets
    }


def name_of(group: Group) -> str:
    """The name of a group among those of its data set."""
    return group.system or "all runs"


def ends_of(interval: Interval) -> tuple[float, float] | None:
    """The ends of an interval, if there are any."""
    return None if interval.low is None or interval.high is None else (interval.low, interval.high)


def edges_of(intervals: Sequence[Interval]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The estimates and the ends of intervals, NaN where there is none."""
    values = [(interval.estimate, *(ends_of(interval) or (np.nan, np.nan))) for interval in intervals]
    estimates, low, high = np.array(values, dtype=float).reshape(-1, 3).T
    return estimates, low, high


def panels_size(number: int) -> tuple[float, float]:
    """Width and height in inches of a picture with a number of panels."""
    if number == 1:
        return _PANEL
    columns = min(number, _PANELS_PER_ROW)
    return _SMALL_PANEL[0] * columns, _SMALL_PANEL[1] * -(-number // columns) + 0.6


def metric_label(comparison: Comparison, data_set: str, *, split: str = "test") -> str:
    """The name of a data set's metric with its unit."""
    return axis_label(f"{split}/{comparison.metrics[data_set]}")


def panels(figure: Figure, names: Sequence[str], *, x: str, y: Sequence[str]) -> list[Axes]:
    """Axes for each name with its own y label, in rows; the names are titles where there are several."""
    columns = min(len(names), _PANELS_PER_ROW)
    grid = figure.subplots(-(-len(names) // columns), columns, squeeze=False).ravel().tolist()
    for axes in grid[len(names) :]:
        axes.remove()
    for axes, name, label in zip(grid, names, y, strict=False):
        axes.set(xlabel=x, ylabel=label)
        axes.spines[["top", "right"]].set_visible(False)
        if len(names) > 1:
            axes.set_title(wrapped(name), fontsize="medium")
    return grid[: len(names)]


def is_study(comparison: Comparison) -> bool:
    """Whether the runs are the trials of a search, which are no repetitions of one method."""
    return comparison.sweep is not None and comparison.sweep.kind == "study"


def percent(comparison: Comparison) -> str:
    """The level of the intervals in words."""
    return f"{100 * comparison.level:g} %"


def legend_right(figure: Figure) -> None:
    """Name what has a label in a figure of one panel, right of it."""
    figure.legend(loc="outside right upper", fontsize="small", frameon=False)


def seeds_phrase(comparison: Comparison) -> str:
    """How many runs a group has, and what they are repeated over, for captions."""
    counts = sorted({len(group.runs) for group in comparison.groups})
    number = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    over = f", repeated over {', '.join(comparison.over)}" if comparison.over and counts[-1] > 1 else ""
    return f"n = {number} runs of each group{over}"
