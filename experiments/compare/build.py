"""Builds a comparison from runs: their scores by group, the claims, the costs and the reader's warnings."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from elmo.errors import InputError, suggest
from experiments.compare.across import across_data_sets
from experiments.compare.budget import budget_curves
from experiments.compare.claims import make_claims, pairs_of, units_of
from experiments.compare.comparison import Comparison, Goal, Group, Interval, LeftOut
from experiments.compare.costs import costs_of, devices_of
from experiments.compare.differences import columns_of
from experiments.compare.grouping import Grouping, group_runs, order_of
from experiments.compare.metric import goal_of, metric_of, refuse_different_tasks, shared_name
from experiments.compare.reading import Material, by_value, names, seconds_of
from experiments.compare.remarks import remarks
from experiments.compare.statistics.intervals import t_interval
from experiments.io.run_record import RunRecord


@dataclass(frozen=True)
class Wishes:
    """What the user asked for.

    Attributes:
        metric: such as `accuracy`; None: the one that chose the runs' models.
        by, over: see `Comparison`; `by` of None: what differs.
        baseline: the label of a group that all others are compared with; None: all pairs.
        difference: a true difference to be found, for the number of runs that it needs.
        against: a figure of the runs that the score is drawn against.
        error_reduction: whether relative error reductions are computed.
        refuses_incomplete: whether unfinished, failed and damaged runs end the comparison.
    """

    metric: str | None = None
    by: Sequence[str] | None = None
    over: Sequence[str] = ("seed",)
    baseline: str | None = None
    difference: float | None = None
    against: str | None = None
    error_reduction: bool = False
    refuses_incomplete: bool = False


def compare(material: Material, wishes: Wishes) -> Comparison:
    """The comparison of runs.

    Raises:
        InputError: runs that may not be compared, or a wish that cannot be met.
    """
    _refuse_nothing(material)
    refuse_different_tasks(material.runs)
    goal = goal_of(material.runs, wishes.metric)
    material = _without_diverged(material, wishes.metric)
    if wishes.refuses_incomplete and material.left_out:
        raise InputError("\n".join(f"{path}: {reason}" for path, reason, _ in material.left_out))
    is_study = material.sweep is not None and material.sweep.kind == "study"
    by, over = wishes.by, list(wishes.over)
    if is_study:
        axes = dict.fromkeys(axis for each in material.axes for axis in each)
        by, over = by or [], [*over, *(axis for axis in axes if axis not in (by or []))]
    grouping = group_runs(material, by=by, over=over, may_repeat=is_study)
    metric = shared_name(metric_of(run, wishes.metric) for run in material.runs)
    if "perplexity" in metric:
        _refuse_different_vocabularies(material.runs)
    groups = _groups(material, grouping, wishes.metric, goal, is_study=is_study)
    chosen = _chosen(groups, goal)
    if wishes.against is not None:
        _refuse_unknown_figure(wishes.against, groups)
    baseline = None if wishes.baseline is None else _find_baseline(groups, wishes.baseline)
    pairs = [] if is_study else pairs_of(groups, baseline=baseline, chosen=chosen)
    everything = [*material.runs, *material.pretraining]
    lost = sum(left.hours for left in material.left_out)
    return Comparison(
        metric=f"test/{metric}",
        dev_metric=f"dev/{metric}",
        goal=goal,
        by=grouping.by,
        over=grouping.over,
        against=wishes.against,
        groups=groups,
        claims=make_claims(
            groups,
            pairs,
            goal=goal,
            difference=wishes.difference,
            with_error_reduction=wishes.error_reduction,
        ),
        chosen=chosen,
        left_out=material.left_out,
        warnings=list(remarks(material, groups, has_baseline=baseline is not None, is_study=is_study)),
        hours=sum(map(seconds_of, everything)) / 3600 + lost,
        lost_hours=lost,
        device=devices_of(everything),
        sweep=material.sweep,
        budget_curves=budget_curves(material.sweep, groups, goal) if len(material.runs) > 1 else [],
        across=across_data_sets(groups, goal) if len(chosen) > 1 and not is_study else None,
    )


def _refuse_nothing(material: Material) -> None:
    if not material.runs:
        reasons = "; ".join(f"{path}: {reason}" for path, reason, _ in material.left_out[:3])
        raise InputError(f"no finished run to compare ({reasons})")


def _without_diverged(material: Material, wanted: str | None) -> Material:
    """The material without runs whose score is not finite."""
    metrics = [f"test/{metric_of(run, wanted)}" for run in material.runs]
    is_finite = [_is_number(run.figures[metric]) for run, metric in zip(material.runs, metrics, strict=True)]
    left_out = [
        LeftOut(run.path, f"{metric} is not finite", seconds_of(run) / 3600)
        for run, metric, finite in zip(material.runs, metrics, is_finite, strict=True)
        if not finite
    ]
    kept = [place for place, finite in enumerate(is_finite) if finite]
    found = dataclasses.replace(
        material,
        runs=[material.runs[place] for place in kept],
        axes=[material.axes[place] for place in kept],
        left_out=[*material.left_out, *left_out],
    )
    _refuse_nothing(found)
    return found


def _refuse_different_vocabularies(runs: Sequence[RunRecord]) -> None:
    """Perplexities over different sets of words cannot be compared: rare words are one word, <UNK>."""
    found = by_value(runs, lambda run: run.figures.get("facts/vocabulary"))
    if len(found) > 1:
        parts = "; ".join(f"{size} words ({names(paths)})" for size, paths in found.items())
        raise InputError(
            f"perplexities over vocabularies of different sizes cannot be compared: {parts}; give all runs"
            " the same vocabulary.path"
        )


def _groups(
    material: Material, grouping: Grouping, wanted: str | None, goal: Goal, *, is_study: bool
) -> list[Group]:
    columns = columns_of(material.runs, material.axes)
    groups = []
    for key, places in grouping.members:
        places = sorted(places, key=lambda place: order_of(place, grouping.over, columns))
        runs = [material.runs[place] for place in places]
        group = _group(grouping, key, runs, metric_of(runs[0], wanted))
        if "init_from" in columns:
            bilms = [columns["init_from"][place] for place in places]
            group = dataclasses.replace(group, bilms=[None if name is None else str(name) for name in bilms])
        groups.append(_with_best(group, goal) if is_study else _with_intervals(group))
    return _with_examples(groups)


def _group(grouping: Grouping, key: dict[str, Any], runs: list[RunRecord], metric: str) -> Group:
    """A group without intervals, whose runs have no biLM."""
    scores = np.array([run.figures[f"test/{metric}"] for run in runs], dtype=np.float64)
    dev = [run.figures.get(f"dev/{metric}") for run in runs]
    data_key = grouping.data_key
    return Group(
        label=grouping.label(key),
        key=key,
        system=grouping.label(key, with_data=False),
        data_set="" if data_key is None else grouping.label({data_key: key[data_key]}),
        metric=metric,
        runs=runs,
        scores=scores,
        dev_scores=np.array([math.nan if value is None else value for value in dev], dtype=np.float64),
        seeds=[run.config.get("seed") for run in runs],
        bilms=[None] * len(runs),
        interval=Interval(float(scores.mean()), None, None),
        dev_interval=Interval(math.nan, None, None),
        deviation=None,
        num_units=1,
        costs=costs_of(runs),
    )


def _with_best(group: Group, goal: Goal) -> Group:
    """The group of trials with the scores of the one that is best on dev."""
    known = np.flatnonzero(np.isfinite(group.dev_scores))
    if not len(known):
        return group
    best = known[np.argmax(group.dev_scores[known] * (1 if goal == "maximize" else -1))]
    test, dev = float(group.scores[best]), float(group.dev_scores[best])
    return dataclasses.replace(
        group, interval=Interval(test, None, None), dev_interval=Interval(dev, None, None)
    )


def _with_intervals(group: Group) -> Group:
    """The group with the means' intervals over its independent repetitions."""
    units = units_of(group)
    dev_units = units_of(dataclasses.replace(group, scores=group.dev_scores)) if _has_dev(group) else None
    return dataclasses.replace(
        group,
        interval=_interval(units),
        dev_interval=group.dev_interval if dev_units is None else _interval(dev_units),
        deviation=float(units.std(ddof=1)) if len(units) > 1 else None,
        num_units=len(units),
    )


def _has_dev(group: Group) -> bool:
    return bool(np.isfinite(group.dev_scores).all())


def _interval(values: np.ndarray) -> Interval:
    found = t_interval(values)
    return Interval(float(values.mean()), *((None, None) if found is None else (found.low, found.high)))


def _with_examples(groups: list[Group]) -> list[Group]:
    """The groups with the scores of each test example, where all groups of a data set have them."""
    found = [_examples_of(group) for group in groups]
    shapes: dict[str, set[tuple[int, ...] | None]] = {}
    for group, examples in zip(groups, found, strict=True):
        shapes.setdefault(group.data_set, set()).add(None if examples is None else examples.shape[1:])
    return [
        dataclasses.replace(group, examples=examples if len(shapes[group.data_set]) == 1 else None)
        for group, examples in zip(groups, found, strict=True)
    ]


def _examples_of(group: Group) -> np.ndarray | None:
    """(R, N) or (R, N, 2): the examples are in the order of the data, the same as the test sets are equal."""
    rows = []
    for run in group.runs:
        stored = run.predictions("test")
        if stored is not None and group.metric in stored.scores:
            rows.append(np.asarray(stored.scores[group.metric], dtype=np.float64))
        elif stored is not None and group.metric in stored.ratios:
            rows.append(np.asarray(stored.ratios[group.metric], dtype=np.float64).T)
        else:
            return None
    return np.stack(rows) if len({row.shape for row in rows}) == 1 else None


def _chosen(groups: Sequence[Group], goal: Goal) -> dict[str, int]:
    """Of each data set the place of the group that is best on dev; without dev scores the first one."""
    sign = 1 if goal == "maximize" else -1
    best: dict[str, tuple[float, int]] = {}
    for place, group in enumerate(groups):
        dev = group.dev_interval.estimate
        score = -math.inf if math.isnan(dev) else sign * dev
        if group.data_set not in best or score > best[group.data_set][0]:
            best[group.data_set] = (score, place)
    return {data_set: place for data_set, (_, place) in best.items()}


def _find_baseline(groups: Sequence[Group], label: str) -> int:
    for place, group in enumerate(groups):
        if label in (group.label, group.system):
            return place
    systems = dict.fromkeys(group.system for group in groups)
    raise InputError(f"baseline: no group {label!r}{suggest(label, systems)}")


def _refuse_unknown_figure(name: str, groups: Sequence[Group]) -> None:
    if all(math.isnan(group.mean_of(name)) for group in groups):
        known = dict.fromkeys(key for group in groups for run in group.runs for key in run.figures)
        raise InputError(f"against: no run has the figure {name!r}{suggest(name, known)}")


def _is_number(value: float | None) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
