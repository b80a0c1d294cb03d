"""Pictures of systems over several data sets: performance profiles, mean ranks, who beats whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from experiments.compare.comparison import Comparison
from experiments.compare.figures.heat_map import draw_heat_map, size_of
from experiments.compare.figures.lines import Line, draw_lines, legend_of
from experiments.compare.figures.picture import Picture, edges_of, looks_of, panels, panels_size
from experiments.compare.figures.ranks import draw_critical_differences
from experiments.compare.figures.strips import Estimates, draw_differences, height_of
from experiments.compare.figures.style import MOST_LABELLED, axis_label, wrapped

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def profiles(comparison: Comparison) -> list[Picture]:
    """The share of runs above each score; of the systems with the best interquartile means, if many."""
    across, looks = comparison.across, looks_of(comparison)
    if across is None:
        return []
    sign = -1 if comparison.goal == "maximize" else 1
    order = np.argsort([sign * interval.estimate for interval in across.interquartile_means], kind="stable")
    shown = sorted(order[:MOST_LABELLED].tolist())

    def draw(figure: Figure) -> None:
        side = "above" if comparison.goal == "maximize" else "below"
        x, y = f"{axis_label(comparison.metric)}", f"share of runs {side}"
        (axes,) = panels(figure, [""], x=x, y=[y])
        lines = [
            Line(
                wrapped(across.systems[index]),
                looks[across.systems[index]],
                across.thresholds,
                across.profiles[index],
                across.profile_low[index],
                across.profile_high[index],
            )
            for index in shown
        ]
        draw_lines(axes, lines, is_step=True, names_ends=False)  # all end at the same point
        axes.set_ylim(-0.02, 1.02)
        legend_of(figure, {across.systems[index]: looks[across.systems[index]] for index in shown})

    caption = (
        "Performance profiles (Agarwal et al. 2021): the share of runs with a better score than that on the"
        f" x axis, each of {len(across.data_sets)} data sets counting the same, with bootstrap bands. A"
        " curve that lies above another everywhere is better at every level."
    )
    return [Picture("profiles", "Performance profiles", caption, panels_size(1), draw)]


def interquartile_means(comparison: Comparison) -> list[Picture]:
    """The interquartile mean of each system over all data sets and runs."""
    across = comparison.across
    if across is None:
        return []
    values, low, high = edges_of(across.interquartile_means)
    known = Estimates("", values, low, high, [True] * len(values))

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        draw_differences(axes, across.systems, [known], reference=None, names=None)
        axes.set_xlabel(f"interquartile mean of {axis_label(comparison.metric)}")

    caption = (
        "The mean of the middle half of all scores over data sets and runs, with stratified bootstrap"
        " intervals (Agarwal et al. 2021)."
    )
    size = (7.5, height_of(len(values)))
    return [Picture("interquartile_means", "Interquartile means", caption, size, draw)]


def improvements(comparison: Comparison) -> list[Picture]:
    """Who beats whom: the mean probability over data sets."""
    across = comparison.across
    if across is None or len(across.systems) < 2:
        return []

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        values = across.improvement.astype(float)
        np.fill_diagonal(values := values.copy(), np.nan)
        texts = [[f"{value:.2f}" for value in row] for row in values]
        names = across.systems
        image = draw_heat_map(axes, values, rows=names, columns=names, texts=texts, limits=(0, 1))
        axes.set(ylabel="the system of the row ...", xlabel="... beats that of the column")
        figure.colorbar(image, ax=axes, label="probability of improvement")

    caption = (
        "The probability that a run of the system in the row is better than one of that in the column, the"
        f" mean over {len(across.data_sets)} data sets (Agarwal et al. 2021); 0.5 is no difference."
    )
    number = len(across.systems)
    return [Picture("who_beats_whom", "Who beats whom", caption, size_of(number, number), draw)]


def ranks(comparison: Comparison) -> list[Picture]:
    """The critical-difference diagram, where there are enough data sets for one."""
    across = comparison.across
    if across is None or across.ranks is None or across.rank_p is None:
        return []
    ranks, p_values = across.ranks, across.rank_p

    def draw(figure: Figure) -> None:
        draw_critical_differences(
            figure.subplots(), across.systems, ranks, p_values, level=1 - comparison.level
        )

    caption = (
        f"Mean ranks over {len(across.data_sets)} data sets; a bar joins systems whose ranks no test tells"
        " apart after correction (Demsar 2006)."
    )
    size = (8.0, 1.4 + 0.25 * len(across.systems))
    return [Picture("ranks", "Mean ranks over data sets", caption, size, draw)]
