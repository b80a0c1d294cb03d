"""Budget curves of what was tried: the trials of a study, or the jobs of a sweep."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from experiments.compare.comparison import BudgetCurve, Goal, Group
from experiments.compare.statistics.budget import expected_best
from experiments.sweep.record import SweepRecord


def budget_curves(sweep: SweepRecord | None, groups: Sequence[Group], goal: Goal) -> list[BudgetCurve]:
    """The curves; none where fewer than two configurations were tried.

    A study's trials are all of its own, the pruned ones included: they were tried. Other groups are the
    trials of the first key of `by` that is not the data set's, or all of one search if there is one key.
    """
    if sweep is not None and sweep.kind == "study":
        values = [job.value for job in sweep.jobs if job.state in ("complete", "pruned")]
        tried = [value for value in values if value is not None and math.isfinite(value)]
        return [_curve(sweep.name, np.array(tried), goal)] if len(tried) > 1 else []
    trials: dict[str, list[Group]] = {}
    for group in groups:
        trials.setdefault(_search_of(group), []).append(group)
    curves = []
    for label, members in trials.items():
        scores = np.concatenate([group.dev_scores for group in members])
        if len(members) > 1 and np.isfinite(scores).all():
            curves.append(_curve(label, scores, goal))
    return curves


def _search_of(group: Group) -> str:
    """What a group's configuration is a trial of: `encoder=elmo`, on a data set if there are several."""
    parts = group.system.split(", ")
    system = parts[0] if len(parts) > 1 else "all configurations"
    return f"{system}, {group.data_set}" if group.data_set else system


def _curve(label: str, scores: np.ndarray, goal: Goal) -> BudgetCurve:
    sign = 1 if goal == "maximize" else -1
    found = expected_best(sign * scores)
    low, high = (found.low, found.high) if sign == 1 else (-found.high, -found.low)
    return BudgetCurve(label, sign * found.validation, low, high)
