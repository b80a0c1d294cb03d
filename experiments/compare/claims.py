"""What may be claimed of the differences between groups: two claims for each pair, and their power."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.compare.comparison import Claim, Evidence, Goal, Group, Interval
from experiments.compare.statistics.aggregates import probability_of_improvement
from experiments.compare.statistics.correction import holm
from experiments.compare.statistics.intervals import LEVEL, NUM_RESAMPLES, percentiles, resampled_sums
from experiments.compare.statistics.new_examples import compare_on_examples, compare_ratios, ratios_of
from experiments.compare.statistics.power import (
    pairs_needed,
    seeds_needed,
    smallest_difference,
    smallest_paired_difference,
)
from experiments.compare.statistics.retrained import (
    RetrainedTest,
    compare_independent,
    compare_nested,
    compare_paired,
    error_reduction,
    means_within,
)
from experiments.compare.statistics.stochastic_order import stochastic_order

MOST_PAIRED = 20  # groups of a data set whose pairs are all shown: 190; of more, each against one of them


class _Units(NamedTuple):
    """The repetitions that a test of two groups counts: runs, or means of the runs on one biLM."""

    first: np.ndarray
    second: np.ndarray
    is_paired: bool


def pairs_of(
    groups: Sequence[Group], *, baseline: int | None, chosen: dict[str, int]
) -> list[tuple[int, int]]:
    """The pairs of groups with the same test set that claims are about, as places.

    They are all pairs or, with a baseline, each group against the baseline of its own data set; of more than
    20 groups, each against the one that was chosen on dev.

    Args:
        groups: of the comparison.
        baseline: the place of a group whose system is the baseline.
        chosen: the place of the group with the best mean on dev, by data set.
    """
    pairs: list[tuple[int, int]] = []
    for data_set, best in chosen.items():
        places = [place for place, group in enumerate(groups) if group.data_set == data_set]
        center = best if len(places) > MOST_PAIRED else None
        if baseline is not None:
            same = [place for place in places if groups[place].system == groups[baseline].system]
            if not same:
                continue
            center = same[0]
        if center is None:
            pairs += itertools.combinations(places, 2)
        else:
            pairs += [(place, center) for place in places if place != center]
    return pairs


def make_claims(
    groups: Sequence[Group],
    pairs: Sequence[tuple[int, int]],
    *,
    goal: Goal,
    difference: float | None,
    with_error_reduction: bool,
) -> list[Claim]:
    """The claims about the pairs, with p-values corrected over all of them, each claim for itself.

    Args:
        groups: of the comparison.
        pairs: places of groups with the same test set.
        goal: of the metric.
        difference: the true difference to be found, for the number of runs that it needs.
        with_error_reduction: whether relative error reductions are computed.
    """
    tests = [_retrained(groups[first], groups[second]) for first, second in pairs]
    retrained = _corrected([_evidence(test) for test in tests])
    examples = _on_examples(groups, pairs)
    return [
        _claim(
            groups,
            pair,
            headline,
            beside,
            goal=goal,
            difference=difference,
            with_error_reduction=with_error_reduction,
        )
        for pair, headline, beside in zip(pairs, retrained, examples, strict=True)
    ]


def units_of(group: Group) -> np.ndarray:
    """The scores of a group's independent repetitions: with several biLMs the means of their runs."""
    return means_within(group.scores, _bilms(group) if _num_bilms(group) > 1 else None)[1]


def _claim(
    groups: Sequence[Group],
    pair: tuple[int, int],
    retrained: Evidence,
    examples: Evidence | None,
    *,
    goal: Goal,
    difference: float | None,
    with_error_reduction: bool,
) -> Claim:
    first, second = (groups[place] for place in pair)
    units, sign, is_tested = _units(first, second), 1 if goal == "maximize" else -1, retrained.p is not None
    return Claim(
        *pair,
        retrained=retrained,
        examples=examples,
        smallest_difference=_smallest(units) if is_tested else None,
        units_needed=_needed(units, difference) if is_tested and difference is not None else None,
        almost_stochastic=stochastic_order(sign * units.first, sign * units.second).bound,
        probability_of_improvement=_improvement(sign * units.first, sign * units.second),
        error_reduction=_error_reduction(units, goal) if with_error_reduction else None,
    )


def _retrained(first: Group, second: Group) -> RetrainedTest:
    if max(_num_bilms(first), _num_bilms(second)) > 1:
        return compare_nested(
            first.scores, second.scores, first_bilms=_bilms(first), second_bilms=_bilms(second)
        )
    if _share_repetitions(first, second):
        return compare_paired(first.scores, second.scores)
    return compare_independent(first.scores, second.scores)


def _units(first: Group, second: Group) -> _Units:
    is_nested = max(_num_bilms(first), _num_bilms(second)) > 1
    if not is_nested:
        return _Units(first.scores, second.scores, _share_repetitions(first, second))
    names, one = means_within(first.scores, _bilms(first))
    others, two = means_within(second.scores, _bilms(second))
    return _Units(one, two, names is not None and names == others)


def _share_repetitions(first: Group, second: Group) -> bool:
    """Whether run i of both has the same seed, data in the same order, and the same biLM or none."""
    return _repetitions(first) == _repetitions(second)


def _repetitions(group: Group) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for run, seed, bilm in zip(group.runs, group.seeds, group.bilms, strict=True):
        trainer = run.section("trainer")
        batch = (trainer.get("batch_size"), trainer.get("accumulate_batches"))
        found.append((seed, bilm, run.fingerprints.get("train"), *batch))
    return found


def _num_bilms(group: Group) -> int:
    return len(set(group.bilms))


def _bilms(group: Group) -> list[str] | None:
    """The biLM of each run; None if none has one."""
    if all(bilm is None for bilm in group.bilms):
        return None
    return [str(bilm) for bilm in group.bilms]


def _evidence(test: RetrainedTest) -> Evidence:
    interval = Interval(test.difference, test.low, test.high)
    return Evidence(interval, test.p, None, test.design, test.reason)


def _corrected(evidence: Sequence[Evidence]) -> list[Evidence]:
    adjusted = holm([each.p for each in evidence])
    return [dataclasses.replace(each, adjusted_p=p) for each, p in zip(evidence, adjusted, strict=True)]


def _on_examples(groups: Sequence[Group], pairs: Sequence[tuple[int, int]]) -> list[Evidence | None]:
    """The second claim of each pair, with intervals from one set of resamples of each test set."""
    resampled: dict[int, np.ndarray] = {}
    for data_set in dict.fromkeys(groups[first].data_set for first, _ in pairs):
        places = [
            i for i, each in enumerate(groups) if each.data_set == data_set and each.examples is not None
        ]
        if places:
            means = np.stack([_example_means(groups[place]) for place in places], axis=1)
            sums = resampled_sums(means.reshape(len(means), -1), NUM_RESAMPLES, seed=0)
            sums = sums.reshape(-1, *means.shape[1:])
            scores = sums / len(means) if means.ndim == 2 else ratios_of(sums)
            resampled |= dict(zip(places, scores.T, strict=True))
    found = [
        _on_same_examples(groups, pair, resampled) if set(pair) <= resampled.keys() else None
        for pair in pairs
    ]
    corrected = iter(_corrected([each for each in found if each is not None]))
    return [None if each is None else next(corrected) for each in found]


def _on_same_examples(
    groups: Sequence[Group], pair: tuple[int, int], resampled: dict[int, np.ndarray]
) -> Evidence:
    first, second = (groups[place].examples for place in pair)
    assert first is not None and second is not None  # both have resamples
    test = compare_on_examples(first, second) if first.ndim == 2 else compare_ratios(first, second)
    low, high = percentiles(resampled[pair[0]] - resampled[pair[1]], LEVEL)
    return Evidence(Interval(test.difference, low, high), test.p, None, test.design)


def _example_means(group: Group) -> np.ndarray:
    assert group.examples is not None  # only such groups are asked for
    return group.examples.mean(axis=0)


def _smallest(units: _Units) -> float | None:
    n = (len(units.first), len(units.second))
    if units.is_paired:
        return smallest_paired_difference(_deviation(units.first - units.second), n[0])
    return smallest_difference((_deviation(units.first), _deviation(units.second)), n)


def _needed(units: _Units, difference: float) -> int | None:
    if units.is_paired:
        return pairs_needed(difference, _deviation(units.first - units.second))
    return seeds_needed(difference, (_deviation(units.first), _deviation(units.second)))


def _error_reduction(units: _Units, goal: Goal) -> Interval | None:
    if goal == "minimize" or max(units.first.max(), units.second.max()) >= 100:
        return None
    found = error_reduction(units.first, units.second, paired=units.is_paired)
    return Interval(found.percent, found.low, found.high)


def _improvement(first: np.ndarray, second: np.ndarray) -> Interval:
    found = probability_of_improvement([first], [second])
    ends = (None, None) if found.low is None or found.high is None else (float(found.low), float(found.high))
    return Interval(float(found.estimate), *ends)


def _deviation(values: np.ndarray) -> float:
    return float(np.std(values, ddof=1))
