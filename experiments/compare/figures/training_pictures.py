"""Pictures of how runs were trained: learning curves, what a budget finds, the layers' learned weights."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from experiments.compare.comparison import Comparison, Group
from experiments.compare.figures.curves import Curve, curve_of, mean_curve
from experiments.compare.figures.heat_map import draw_layer_weights
from experiments.compare.figures.lines import Line, draw_lines, legend_of
from experiments.compare.figures.picture import (
    Picture,
    groups_by_data_set,
    is_study,
    looks_of,
    metric_label,
    name_of,
    panels,
    panels_size,
    percent,
    seeds_phrase,
)
from experiments.compare.figures.style import MOST_LABELLED, Look, axis_label, look_of, time_unit, wrapped
from tasks.supervised.mix_names import by_mix

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_UNITS = ("tokens", "examples")
_MOST_BESIDE = 6  # groups of mixes that stand beside each other
_MOST_COLUMNS = 40  # groups in a picture of layers' weights

Curves = dict[str, list[Curve]]  # by the unit of x


def learning_curves(comparison: Comparison) -> list[Picture]:
    """The score on dev against steps and seconds, and against tokens where a step of groups differs in them.

    Of very many groups those with the best mean on dev are drawn; trials of a search have no mean.
    """
    if is_study(comparison):
        return []
    parts = {name: _best_on_dev(comparison, part) for name, part in groups_by_data_set(comparison).items()}
    curves = {id(group): _curves(group) for part in parts.values() for group in part}
    pictures = []
    for unit in ("step", *_units_apart(list(curves.values())), "seconds"):
        drawn = {name: [g for g in part if curves[id(g)].get(unit)] for name, part in parts.items()}
        if any(drawn.values()):
            pictures.append(_learning_curve(comparison, drawn, curves, unit))
    return pictures


def _learning_curve(
    comparison: Comparison, parts: dict[str, list[Group]], curves: dict[int, Curves], unit: str
) -> Picture:
    looks = looks_of(comparison)
    ends = [curve.x[-1] for part in parts.values() for g in part for curve in curves[id(g)][unit]]
    factor, name = time_unit(ends) if unit == "seconds" else (1.0, "steps" if unit == "step" else unit)

    def draw(figure: Figure) -> None:
        labels = [metric_label(comparison, part, split="dev") for part in parts]
        grid = panels(figure, list(parts), x=name, y=labels)
        for axes, groups in zip(grid, parts.values(), strict=True):
            lines = [
                _curve_line(name_of(group), looks[group.system], curves[id(group)][unit], factor)
                for group in groups
            ]
            draw_lines(axes, lines, names_ends=len(parts) == 1)
        if len(parts) > 1:
            shown = dict.fromkeys(group.system for groups in parts.values() for group in groups)
            legend_of(figure, {system: looks[system] for system in shown})

    number, total = sum(map(len, parts.values())), len(comparison.groups)
    caption = (
        f"{axis_label(comparison.dev_metric)} in training. Bold: the mean of a group as far as all of its"
        f" runs went; band: its {percent(comparison)} interval at each point (Student's t); thin: runs;"
        f" {seeds_phrase(comparison)}."
    )
    if number < total:
        caption += f" Of {total} groups the {number} best on dev are drawn."
    title = f"Learning curves over {name}"
    file = f"learning_curves_{'time' if unit == 'seconds' else name}"  # whatever the time's unit is
    return Picture(file, title, caption, panels_size(len(parts)), draw)


def _curve_line(name: str, look: Look, curves: list[Curve], factor: float) -> Line:
    band = mean_curve(curves)
    runs = [(curve.x / factor, curve.y) for curve in curves]
    if band is None:  # no step was reached by all runs
        nothing = np.full(1, np.nan)
        return Line(wrapped(name), look, runs[0][0][:1], nothing, nothing, nothing, runs)
    return Line(
        wrapped(name), look, band.x / factor, band.mean, band.low, band.high, runs if len(runs) > 1 else ()
    )


def _curves(group: Group) -> Curves:
    found: Curves = defaultdict(list)
    metric = f"dev/{group.metric}"
    for run in group.runs:
        events = [event for event in run.events() if metric in event]
        for unit in ("step", *_UNITS, "seconds"):
            curve = curve_of(events, metric, unit=unit)
            if len(curve.x):
                found[unit].append(curve)
    return found


def _units_apart(curves: list[Curves]) -> list[str]:
    """The units besides steps, if a step of the groups differs by more than 5 % in them."""
    apart = []
    for unit in _UNITS:
        per_step = [curve.x[-1] / curve.steps[-1] for found in curves for curve in found.get(unit, [])]
        if per_step and max(per_step) > 1.05 * min(per_step):
            apart.append(unit)
    return apart


def _best_on_dev(comparison: Comparison, groups: list[Group]) -> list[Group]:
    """The groups, or the dozen with the best mean on dev, in their order."""
    if len(groups) <= MOST_LABELLED:
        return groups
    sign = -1 if comparison.goal == "maximize" else 1
    values = [sign * group.dev_interval.estimate for group in groups]
    best = set(np.argsort(np.nan_to_num(values, nan=np.inf), kind="stable")[:MOST_LABELLED].tolist())
    return [group for index, group in enumerate(groups) if index in best]


def budget_curves(comparison: Comparison) -> list[Picture]:
    """The expected best score on dev of k trials."""
    known = [curve for curve in comparison.budget_curves if len(curve.expected) > 1][:MOST_LABELLED]
    if not known:
        return []

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import MaxNLocator

        (axes,) = panels(figure, [""], x="trials", y=[f"expected best {axis_label(comparison.dev_metric)}"])
        lines = [
            Line(wrapped(curve.label), look_of(index), x, curve.expected, curve.low, curve.high)
            for index, curve in enumerate(known)
            for x in [np.arange(1, len(curve.expected) + 1)]
        ]
        draw_lines(axes, lines, names_ends=len(lines) > 1)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))

    caption = (
        "The expected best score on dev after k trials that are drawn at random from those which were run"
        " (Dodge et al. 2019), with its band: what a smaller budget would have found."
    )
    return [Picture("budget", "What a budget of trials finds", caption, panels_size(1), draw)]


def layer_weights(comparison: Comparison) -> list[Picture]:
    """The weights that the groups' mixes of layers have learned, as in Peters et al. (2018, figure 2)."""
    groups = [group for group in comparison.groups if any(_weights(run.figures) for run in group.runs)]
    groups = groups[:_MOST_COLUMNS]
    if not groups:
        return []
    found = [[_weights(run.figures) for run in group.runs] for group in groups]
    mixes = sorted({mix for runs in found for weights in runs for mix in weights})
    rows, columns = (1, len(mixes)) if len(groups) <= _MOST_BESIDE else (len(mixes), 1)
    size = (2.6 + (0.7 * len(groups) + 0.3) * columns, 1.3 + 2.0 * rows)

    def draw(figure: Figure) -> None:
        grid = figure.subplots(rows, columns, squeeze=False, sharey=True, sharex=True).ravel()
        for axes, mix in zip(grid, mixes, strict=True):
            means, deviations = _mean_weights([[weights.get(mix) for weights in runs] for runs in found])
            labels = [group.label or "all runs" for group in groups]
            image = draw_layer_weights(axes, means, columns=labels, deviations=deviations)
            axes.set_title(wrapped(mix), fontsize="medium")
        figure.colorbar(image, ax=grid.tolist(), label="weight after the softmax")

    caption = (
        "The weights of the biLM's layers that the mixes have learned, after the softmax: means over runs and"
        " their standard deviation. As in Peters et al. (2018, figure 2), small weights are hatched (below"
        " 1/L of L layers) and large ones are speckled (above 2/L)."
    )
    return [Picture("layer_weights", "Learned weights of the layers", caption, size, draw)]


def _weights(figures: dict[str, float | None]) -> dict[str, list[float]]:
    """The weights of each mix of a run, the lowest layer first."""
    known = {name: value for name, value in figures.items() if value is not None}
    return {
        mix: [value for name, value in entries.items() if name != "gamma"]
        for mix, entries in by_mix(known).items()
    }


def _mean_weights(runs: list[list[list[float] | None]]) -> tuple[np.ndarray, np.ndarray]:
    """(L, C) means and deviations over the runs of each group; NaN where a group has no such layer."""
    known = [[weights for weights in of_group if weights is not None] for of_group in runs]
    num_layers = max(len(weights) for of_group in known for weights in of_group)
    means, deviations = np.full((2, num_layers, len(runs)), np.nan)
    for column, of_group in enumerate(known):
        for layer in range(num_layers):
            values = [weights[layer] for weights in of_group if layer < len(weights)]
            if values:
                means[layer, column] = np.mean(values)
            if len(values) > 1:
                deviations[layer, column] = np.std(values, ddof=1)
    return means, deviations
