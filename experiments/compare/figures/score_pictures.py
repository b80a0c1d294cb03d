"""Pictures of the groups' scores: each run, the claims' differences, grids, numeric axes, costs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.compare.comparison import Claim, Comparison, Evidence, Group
from experiments.compare.differences import Column, is_decided, plain, shown_value
from experiments.compare.figures.heat_map import draw_heat_map, size_of
from experiments.compare.figures.lines import Line, draw_lines, legend_of
from experiments.compare.figures.picture import (
    Picture,
    edges_of,
    ends_of,
    groups_by_data_set,
    is_study,
    legend_right,
    looks_of,
    metric_label,
    name_of,
    panels,
    panels_size,
    percent,
    seeds_phrase,
)
from experiments.compare.figures.strips import Estimates, draw_differences, draw_strips, height_of
from experiments.compare.figures.style import MOST_LABELLED, Look, axis_label, look_of, time_unit, wrapped
from experiments.compare.figures.trade_off import draw_trade_off
from experiments.compare.tables.scores import ON_NEW_EXAMPLES, RETRAINED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_DIFFERENCES = 28  # all pairs of eight groups
_LONG_PAIR = 44  # letters
_LEAST_VALUES = 3  # of a key, for a line against it


def strips(comparison: Comparison) -> list[Picture]:
    """Every run's score, with the group's mean and interval."""
    parts, looks = groups_by_data_set(comparison), looks_of(comparison)
    heights = [height_of(len(groups)) for groups in parts.values()]

    def draw(figure: Figure) -> None:
        grid = figure.subplots(len(parts), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, (name, groups) in zip(grid, parts.items(), strict=True):
            draw_strips(
                axes,
                [name_of(group) for group in groups],
                [group.scores for group in groups],
                [group.interval.estimate for group in groups],
                [ends_of(group.interval) for group in groups],
                [looks[group.system] for group in groups],
            )
            axes.set_xlabel(metric_label(comparison, name))
            axes.set_title(wrapped(name), fontsize="medium")

    if is_study(comparison):
        caption = "Each dot is a trial of the search; the bar is the score of the one that is best on dev."
    else:
        caption = (
            f"Each dot is a run; the bar is the mean with its {percent(comparison)} interval (Student's t);"
            f" {seeds_phrase(comparison)}. A single run has no interval."
        )
    return [Picture("scores", "Scores of all runs", caption, (7.5, min(sum(heights), 60.0)), draw)]


def differences(comparison: Comparison) -> list[Picture]:
    """The differences of pairs under both claims; of very many pairs, those of the groups chosen on dev."""
    claims = _shown_claims(comparison)
    if not claims:
        return []
    labels = [_pair(comparison, claim) for claim in claims]
    both = [_estimates(RETRAINED, [claim.retrained for claim in claims])]
    if any(claim.examples is not None for claim in claims):
        both.append(_estimates(ON_NEW_EXAMPLES, [claim.examples for claim in claims]))

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        draw_differences(axes, labels, both, reference=0)
        axes.set_xlabel(f"difference of {axis_label(comparison.metric)}".replace("(%)", "(points)"))

    caption = (
        "Differences of two groups' means, first minus second, with"
        f" {percent(comparison)} intervals. Filled markers: the test rejects no difference after Holm's"
        " correction. The two claims answer different questions (see above)."
    )
    caption += _cut_phrase(comparison, claims)
    size = (7.5, height_of(len(claims)) + 0.6)
    return [Picture("differences", "Differences of pairs", caption, size, draw)]


def probabilities_of_improvement(comparison: Comparison) -> list[Picture]:
    """The probability that a run of the first group of a pair is better than one of the second."""
    known = [
        claim
        for claim in _shown_claims(comparison)
        if claim.probability_of_improvement is not None
        and min(comparison.groups[place].num_units for place in (claim.first, claim.second)) > 1
    ]
    if not known:
        return []
    values, low, high = edges_of([claim.probability_of_improvement for claim in known])  # type: ignore[misc]
    significant = [bool(a > 0.5 or b < 0.5) for a, b in zip(low, high, strict=True)]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        labels = [_pair(comparison, claim, " > ") for claim in known]
        names = ("the interval excludes one half", "the interval includes one half")
        draw_differences(
            axes, labels, [Estimates("", values, low, high, significant)], reference=0.5, names=names
        )
        axes.set(xlim=(-0.02, 1.02), xlabel="probability of improvement")

    caption = (
        "The probability that a new run of the first group scores better than one of the second (Agarwal et"
        f" al. 2021), with {percent(comparison)} bootstrap intervals; one half is no difference."
    )
    caption += _cut_phrase(comparison, _shown_claims(comparison))
    size = (7.5, height_of(len(known)) + 0.4)
    return [Picture("improvement", "Probability of improvement", caption, size, draw)]


def _shown_claims(comparison: Comparison) -> list[Claim]:
    """All claims; if they are very many, those of the groups that dev chose."""
    if len(comparison.claims) <= _MOST_DIFFERENCES:
        return comparison.claims
    chosen = set(comparison.chosen.values())
    return [claim for claim in comparison.claims if {claim.first, claim.second} & chosen]


def _cut_phrase(comparison: Comparison, shown: list[Claim]) -> str:
    number = len(comparison.claims)
    return f" Of {number} pairs those of the groups that dev chose are shown." if len(shown) < number else ""


def grids(comparison: Comparison) -> list[Picture]:
    """A heat map for each data set whose groups differ in two keys."""
    found = []
    for number, (name, groups) in enumerate(groups_by_data_set(comparison).items()):
        keys = _varying(groups)
        if len(keys) == 2 and _is_grid(groups, keys):
            suffix, of = (f"_{number + 1}", f" on {name}") if name else ("", "")
            found.append(_grid(comparison, groups, keys, f"grid{suffix}", f"{' by '.join(keys)}{of}"))
    return found


def _is_grid(groups: Sequence[Group], keys: Sequence[str]) -> bool:
    """Whether at least half of the combinations of the keys' values have a group."""
    rows, columns = (len({str(group.key.get(key)) for group in groups}) for key in keys)
    return 2 * len(groups) >= rows * columns


def _grid(comparison: Comparison, groups: list[Group], keys: list[str], name: str, title: str) -> Picture:
    rows, columns = (_ordered([group.key.get(key) for group in groups]) for key in keys)
    label = axis_label(f"test/{groups[0].metric}")
    values = np.full((len(rows), len(columns)), np.nan)
    texts = [["" for _ in columns] for _ in rows]
    for group in groups:
        row, column = rows.index(group.key.get(keys[0])), columns.index(group.key.get(keys[1]))
        values[row, column] = group.interval.estimate
        ends = ends_of(group.interval)
        half = f"\n±{(ends[1] - ends[0]) / 2:.1f}" if ends else ""
        texts[row][column] = f"{group.interval.estimate:.1f}{half}"

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        names = ([shown_value(value) for value in values] for values in (rows, columns))
        image = draw_heat_map(axes, values, rows=next(names), columns=next(names), texts=texts)
        axes.set(ylabel=wrapped(keys[0]), xlabel=wrapped(keys[1]))
        figure.colorbar(image, ax=axes, label=label)

    caption = (
        f"Mean {label}, with half of its {percent(comparison)} interval where"
        f" there are several runs; {seeds_phrase(comparison)}. A cross: no run."
    )
    return Picture(name, title, caption, size_of(len(rows), len(columns)), draw)


def against_number(comparison: Comparison) -> list[Picture]:
    """The score against a figure, if one was asked for, and against the one key whose values are numbers."""
    groups = comparison.groups
    keys = [key for key in _varying(groups) if _is_axis(groups, key)]
    found = [] if len(keys) != 1 else _against(comparison, keys[0], [float(g.key[keys[0]]) for g in groups])
    name = comparison.against
    if name is None:
        return found
    places = [float(f"{group.mean_of(name):.4g}") for group in groups]  # as they are written at the axis
    return [*_against(comparison, name, places), *found]


def _against(comparison: Comparison, name: str, places: Sequence[float]) -> list[Picture]:
    """The score against a number that each group has, or NaN; a line for what else differs."""
    given = zip(comparison.groups, places, strict=True)
    place_of = {group: place for group, place in given if not math.isnan(place)}
    parts = {
        data_set: found
        for data_set, groups in groups_by_data_set(comparison).items()
        if (found := sorted((group for group in groups if group in place_of), key=place_of.__getitem__))
    }
    line_of = {group: line for groups in parts.values() for group, line in _lines_of(groups, place_of)}
    names = list(dict.fromkeys(line_of[group] for group in comparison.groups if group in line_of))
    if len(names) > MOST_LABELLED:
        return []
    looks = dict(zip(names, map(look_of, range(len(names))), strict=True))

    def draw(figure: Figure) -> None:
        grid = panels(
            figure, list(parts), x=name, y=[metric_label(comparison, data_set) for data_set in parts]
        )
        for axes, groups in zip(grid, parts.values(), strict=True):
            members: dict[str, list[Group]] = {}
            for group in groups:
                members.setdefault(line_of[group], []).append(group)
            lines = [
                _numeric_line(line, looks[line], [place_of[group] for group in found], found)
                for line, found in members.items()
            ]
            draw_lines(axes, lines, is_marked=True, names_ends=len(parts) == 1 and len(names) > 1)
        if len(parts) > 1 and len(names) > 1:
            legend_of(figure, looks)

    caption = (
        f"Mean {axis_label(comparison.metric)} against {name}; bands are {percent(comparison)} intervals of"
        f" the mean (Student's t), dots are runs; {seeds_phrase(comparison)}."
    )
    file_name = "against_" + re.sub(r"\W", "_", name)
    return [Picture(file_name, f"Score against {name}", caption, panels_size(len(parts)), draw)]


def _numeric_line(name: str, look: Look, places: Sequence[float], groups: Sequence[Group]) -> Line:
    x = np.array(places)
    middle, low, high = edges_of([group.interval for group in groups])
    dots = [
        (np.array([place]), np.array([score]))
        for place, group in zip(x, groups, strict=True)
        for score in group.scores
    ]
    return Line(wrapped(name), look, x, middle, low, high, dots)


def _lines_of(groups: Sequence[Group], place_of: Mapping[Group, float]) -> Iterator[tuple[Group, str]]:
    """The line of each group: the keys in which groups differ, but for those that alone decide the place."""
    places: Column = [place_of[group] for group in groups]
    keys = [
        key
        for key in _varying(groups)
        if not is_decided(places, [[plain(group.key.get(key)) for group in groups]])
    ]
    for group in groups:
        yield group, ", ".join(shown_value(group.key.get(key)) for key in keys) or "all runs"


def trade_offs(comparison: Comparison) -> list[Picture]:
    """The mean score against the mean time of a run, a panel for each data set."""
    parts = {
        name: [group for group in groups if group.costs.seconds]
        for name, groups in groups_by_data_set(comparison).items()
    }
    if max(map(len, parts.values())) < 2:
        return []
    looks = looks_of(comparison)
    factor, unit = time_unit([group.costs.seconds or 0 for groups in parts.values() for group in groups])

    def draw(figure: Figure) -> None:
        labels = [metric_label(comparison, name) for name in parts]
        grid = panels(figure, list(parts), x=f"{unit} of a run", y=labels)
        for axes, groups in zip(grid, parts.values(), strict=True):
            draw_trade_off(
                axes,
                [name_of(group) for group in groups],
                np.array([group.costs.seconds for group in groups], dtype=float) / factor,
                np.array([group.interval.estimate for group in groups]),
                [ends_of(group.interval) for group in groups],
                [looks[group.system] for group in groups],
                is_higher_better=comparison.goal == "maximize",
            )
        if len(parts) == 1:
            legend_right(figure)
        else:
            legend_of(figure, dict(list(looks.items())[:MOST_LABELLED]))

    caption = (
        f"Mean score with its {percent(comparison)} interval against the mean duration of a run. The dotted"
        " line joins the groups that no other group beats in both."
    )
    title = "Score against time"
    return [Picture("score_and_time", title, caption, panels_size(len(parts)), draw)]


def _estimates(claim: str, evidence: Sequence[Evidence | None]) -> Estimates:
    known = [(np.nan, None, None) if one is None else one.difference for one in evidence]
    values = [(e, np.nan if a is None else a, np.nan if b is None else b) for e, a, b in known]
    estimates, low, high = np.array(values, dtype=float).T
    return Estimates(claim, estimates, low, high, [one is not None and one.is_found for one in evidence])


def _pair(comparison: Comparison, claim: Claim, sign: str = " \N{MINUS SIGN} ") -> str:
    first, second = comparison.groups[claim.first], comparison.groups[claim.second]
    where = f"{first.data_set}: " if len(comparison.data_sets) > 1 else ""
    whole = f"{where}{name_of(first)}{sign}{name_of(second)}"
    # Each on its own line, lest the one be left out that the pair differs from others in.
    return whole if len(whole) <= _LONG_PAIR else f"{where}{name_of(first)}{sign}\n{name_of(second)}"


def _varying(groups: Sequence[Group]) -> list[str]:
    """The keys in which groups of one data set differ."""
    keys = list(dict.fromkeys(key for group in groups for key in group.key))
    names = {group.data_set for group in groups}
    return [
        key
        for key in keys
        if any(len({str(g.key.get(key)) for g in groups if g.data_set == name}) > 1 for name in names)
    ]


def _is_axis(groups: Sequence[Group], key: str) -> bool:
    """Whether a key has enough values, and all of them are numbers."""
    values = [group.key.get(key) for group in groups]
    are_numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    return are_numbers and len(set(values)) >= _LEAST_VALUES


def _ordered(values: Sequence[Any]) -> list[Any]:
    """Distinct values: numbers in their order, others as they come."""
    distinct = list({str(value): value for value in values}.values())
    are_numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in distinct)
    return sorted(distinct) if are_numbers else distinct
