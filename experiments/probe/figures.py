"""The picture of a probe: scores by layer, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.compare.figures.lines import legend_of
from experiments.compare.figures.picture import Picture, edges_of, panels, panels_size
from experiments.compare.figures.style import GREY, Look, look_of, wrapped
from experiments.probe.evidence import ModelFindings
from experiments.probe.kinds.probe import Material
from tasks.pictures import fonts_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_OFFSET = 0.07  # between the points of models at a place


def write_picture(findings: Sequence[ModelFindings], material: Material, path: Path) -> list[Path]:
    """Write the picture as PNG and PDF into a directory; the paths."""
    with fonts_for([each.model for each in findings], where=path):
        return picture(findings, material).write(path)


def picture(findings: Sequence[ModelFindings], material: Material) -> Picture:
    """A panel for each score that matters, a line for each model, the baseline as a horizontal line."""
    looks = {each.model: look_of(index) for index, each in enumerate(findings)}

    def draw(figure: Figure) -> None:
        for axes, score in zip(
            panels(figure, material.pictured, x="layer", y=["%"] * len(material.pictured)),
            material.pictured,
            strict=True,
        ):
            _draw(axes, findings, looks, score)
        if len(findings) > 1:
            legend_of(figure, looks)

    width, height = panels_size(len(material.pictured))
    caption = f"Scores by layer with 95 % intervals (bootstrap over {material.unit}); grey: the baseline."
    return Picture("scores_by_layer", "Scores by layer", caption, (width, height + 0.4), draw)


def _draw(axes: Axes, findings: Sequence[ModelFindings], looks: dict[str, Look], score: str) -> None:
    num_layers = max(view.layer for each in findings for view in each.views if view.layer is not None) + 1
    others = list(
        dict.fromkeys(
            view.name
            for each in findings
            for view in each.views
            if view.layer is None and not view.is_baseline
        )
    )
    for index, each in enumerate(findings):
        views = [view for view in each.views if score in view.scores and not view.is_baseline]
        values, low, high = edges_of([each.intervals[view.name, score] for view in views])
        x = np.array(
            [num_layers + others.index(view.name) if view.layer is None else view.layer for view in views],
            float,
        )
        x += _OFFSET * (index - (len(findings) - 1) / 2)
        colour, dash, marker = looks[each.model]
        axes.errorbar(
            x, values, [values - low, high - values], color=colour, marker=marker, markersize=4, capsize=2,
            linestyle="none", elinewidth=1.2,
        )  # fmt: skip
        is_layer = np.array([view.layer is not None for view in views])
        axes.plot(x[is_layer], values[is_layer], color=colour, linestyle=dash, linewidth=1.4)
    for view in findings[0].views:
        if view.is_baseline and score in view.scores:
            axes.axhline(view.scores[score].value, color=GREY, linewidth=1.0, linestyle=(0, (4, 2)))
    ticks = [*map(str, range(num_layers)), *(wrapped(name, width=9) for name in others)]
    axes.set_xticks(range(len(ticks)), ticks)
    axes.margins(x=0.08)
