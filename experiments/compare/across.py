"""Systems over several data sets: interquartile means, performance profiles, improvement, ranks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.compare.comparison import AcrossDataSets, Goal, Group, Interval
from experiments.compare.statistics.aggregates import (
    Aggregate,
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
)
from experiments.compare.statistics.ranks import compare_ranks

_NUM_THRESHOLDS = 101


def across_data_sets(groups: Sequence[Group], goal: Goal) -> AcrossDataSets | None:
    """The figures of the systems that have runs on every data set; None if they are fewer than two."""
    data_sets = list(dict.fromkeys(group.data_set for group in groups))
    found = {(group.system, group.data_set): group for group in groups}
    systems = [
        system
        for system in dict.fromkeys(group.system for group in groups)
        if all((system, data_set) in found for data_set in data_sets)
    ]
    if len(systems) < 2:
        return None
    sign = 1 if goal == "maximize" else -1
    tables = [[sign * found[system, data_set].scores for data_set in data_sets] for system in systems]
    everything = np.concatenate([scores for table in tables for scores in table])
    thresholds = np.linspace(everything.min(), everything.max(), _NUM_THRESHOLDS)
    profiles = [performance_profile(table, thresholds) for table in tables]
    order = slice(None, None, sign)  # of a metric to minimise, thresholds rise again when they are turned
    ranks = compare_ranks([[float(np.mean(scores)) for scores in table] for table in tables])
    return AcrossDataSets(
        systems=systems,
        data_sets=data_sets,
        interquartile_means=[_signed(interquartile_mean(table), sign) for table in tables],
        thresholds=(sign * thresholds)[order],
        profiles=np.stack([each.estimate[order] for each in profiles]),
        profile_low=np.stack([_or_estimate(each.low, each)[order] for each in profiles]),
        profile_high=np.stack([_or_estimate(each.high, each)[order] for each in profiles]),
        improvement=_improvements(tables),
        ranks=None if ranks is None else ranks.ranks,
        rank_p=None if ranks is None else ranks.p_values,
        friedman_p=None if ranks is None else ranks.friedman_p,
        critical_difference=None if ranks is None else ranks.critical_difference,
    )


def _improvements(tables: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """(S, S) with 0.5 on the diagonal."""
    values = np.full((len(tables), len(tables)), 0.5)
    for first in range(len(tables)):
        for second in range(first):
            value = float(probability_of_improvement(tables[first], tables[second]).estimate)
            values[first, second], values[second, first] = value, 1 - value
    return values


def _signed(found: Aggregate, sign: int) -> Interval:
    if found.low is None or found.high is None:
        return Interval(sign * float(found.estimate), None, None)
    ends = sorted((sign * float(found.low), sign * float(found.high)))
    return Interval(sign * float(found.estimate), *ends)


def _or_estimate(values: np.ndarray | None, found: Aggregate) -> np.ndarray:
    """The edge of a band; where single runs have none, the estimate."""
    return found.estimate if values is None else values
