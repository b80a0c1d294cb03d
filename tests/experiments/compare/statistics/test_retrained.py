"""The tests over seeds against scipy's, worked examples, and permutations of what must not matter."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from elmo.errors import InputError
from experiments.compare.statistics.retrained import (
    compare_independent,
    compare_nested,
    compare_paired,
    error_reduction,
    means_within,
)


@pytest.mark.parametrize(("n", "m"), [(2, 2), (3, 3), (5, 5), (3, 10)])
def test_runs_that_share_nothing_are_compared_by_the_test_of_welch(n: int, m: int) -> None:
    generator = np.random.default_rng(n * m)
    first, second = generator.normal(81, 1, n), generator.normal(80, 2, m)
    found, expected = compare_independent(first, second), stats.ttest_ind(first, second, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert found.difference == pytest.approx(first.mean() - second.mean())
    assert (found.t, found.p) == (pytest.approx(expected.statistic), pytest.approx(expected.pvalue))
    assert found.degrees_of_freedom == pytest.approx(expected.df)
    assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert found.design == f"Welch's t test over {n} and {m} runs"
    assert found.n == (n, m)


def test_pairs_are_compared_by_the_paired_test() -> None:
    generator = np.random.default_rng(0)
    shared = generator.normal(80, 2, 5)
    first, second = shared + generator.normal(1, 0.3, 5), shared
    found, expected = compare_paired(first, second, level=0.9), stats.ttest_rel(first, second)
    interval = expected.confidence_interval(0.9)
    assert (found.t, found.p) == (pytest.approx(expected.statistic), pytest.approx(expected.pvalue))
    assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert found.degrees_of_freedom == 4
    unpaired = compare_independent(first, second)
    assert found.p is not None and unpaired.p is not None and found.p < 0.01 < unpaired.p


def test_a_worked_example_of_two_pairs() -> None:
    found = compare_paired([3.0, 5.0], [2.0, 2.0])  # differences 1 and 3: mean 2, standard error 1
    assert (found.difference, found.standard_error, found.t) == (2.0, pytest.approx(1.0), pytest.approx(2.0))
    assert found.p == pytest.approx(1 - 2 * math.atan(2) / math.pi)  # Student's t with 1 degree is Cauchy's


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ([80.0], [81.0], "a single run has no spread"),
        ([80.0, 81.0], [81.0], "a single run has no spread"),
        ([80.1, 80.1, 80.1], [80.3, 80.3], "all runs of a side have the same score"),
        ([80.0, 80.0], [80.0, 80.0], "all runs of a side have the same score"),
    ],
)
def test_where_there_is_no_spread_there_is_no_p(first: list[float], second: list[float], reason: str) -> None:
    found = compare_independent(first, second)
    assert (found.p, found.t, found.low, found.high, found.degrees_of_freedom) == (None,) * 5
    assert found.reason == reason
    assert found.difference == pytest.approx(np.mean(first) - np.mean(second))


def test_one_side_without_spread_is_compared_by_the_spread_of_the_other() -> None:
    found = compare_independent([80.0, 80.0, 80.0], [81.0, 82.0, 83.0])
    assert found.degrees_of_freedom == pytest.approx(2.0)
    assert found.p == pytest.approx(stats.ttest_1samp([81.0, 82.0, 83.0], 80.0).pvalue)


def test_equal_differences_of_pairs_have_no_p_for_all_their_rounding() -> None:
    found = compare_paired([80.3, 81.3, 82.7], [80.1, 81.1, 82.5])
    assert (found.p, found.reason) == (None, "all pairs have the same difference")
    assert found.difference == pytest.approx(0.2)
    assert compare_paired([80.0], [79.0]).reason == "a single pair has no spread"


def test_pairs_must_be_as_many_on_both_sides() -> None:
    with pytest.raises(InputError, match="3 and 2 runs cannot be paired"):
        compare_paired([1.0, 2.0, 3.0], [1.0, 2.0])


def test_runs_on_the_same_bilm_count_once() -> None:
    first = [80.0, 82.0, 84.0, 86.0, 90.0, 90.0]
    bilms = ["a", "a", "b", "b", "c", "c"]
    other = ["d", "d", "e", "e", "f", "f"]
    second = [70.0, 72.0, 75.0, 75.0, 77.0, 79.0]
    found = compare_nested(first, second, first_bilms=bilms, second_bilms=other)
    expected = stats.ttest_ind([81.0, 85.0, 90.0], [71.0, 75.0, 78.0], equal_var=False)
    assert (found.p, found.n) == (pytest.approx(expected.pvalue), (3, 3))
    assert found.design == (
        "Welch's t test over 3 biLMs (means of their runs) and 3 biLMs (means of their runs)"
    )


def test_the_same_bilms_are_the_pairs_whatever_the_order_of_the_runs() -> None:
    found = compare_nested(
        [80.0, 90.0, 82.0, 85.0],
        [70.0, 74.0, 79.0],
        first_bilms=["a", "c", "a", "b"],
        second_bilms=["b", "a", "c"],
    )
    expected = stats.ttest_rel([81.0, 85.0, 90.0], [74.0, 70.0, 79.0])
    assert (found.p, found.degrees_of_freedom) == (pytest.approx(expected.pvalue), 2)
    assert found.design == "paired t test over 3 biLMs, each the mean of its runs"


def test_a_baseline_without_bilm_counts_each_of_its_runs() -> None:
    found = compare_nested(
        [80.0, 82.0, 84.0, 86.0], [70.0, 71.0, 73.0], first_bilms=list("aabb"), second_bilms=None
    )
    expected = stats.ttest_ind([81.0, 85.0], [70.0, 71.0, 73.0], equal_var=False)
    assert (found.p, found.n) == (pytest.approx(expected.pvalue), (2, 3))
    assert found.design == "Welch's t test over 2 biLMs (means of their runs) and 3 runs"


def test_many_runs_on_a_single_bilm_are_one() -> None:
    found = compare_nested([80.0, 82.0], [70.0, 71.0], first_bilms=["a", "a"], second_bilms=None)
    assert (found.p, found.reason, found.n) == (None, "a single run has no spread", (1, 2))
    with pytest.raises(InputError, match="bilms: one for each of 2 runs expected, got 1"):
        means_within([80.0, 82.0], ["a"])


def test_counting_the_runs_of_a_bilm_one_by_one_would_raise_false_alarms() -> None:
    generator = np.random.default_rng(0)
    alarms = np.zeros(2)
    for _ in range(400):
        sides = [
            (generator.normal(0, 1, (4, 1)) + generator.normal(0, 0.5, (4, 3))).ravel() for _ in range(2)
        ]
        nested = compare_nested(*sides, first_bilms=[*"aaabbbcccddd"], second_bilms=[*"eeefffggghhh"])
        flat = compare_independent(*sides)
        assert nested.p is not None and flat.p is not None
        alarms += [nested.p < 0.05, flat.p < 0.05]
    assert alarms[0] / 400 < 0.08 < 0.2 < alarms[1] / 400


def test_the_error_reduction_of_a_worked_example() -> None:
    found = error_reduction([90.0, 90.0], [80.0, 80.0])
    assert (found.percent, found.low, found.test.p) == (pytest.approx(50.0), None, None)
    assert error_reduction([70.0], [80.0]).percent == pytest.approx(-50.0)  # the error is half as large again


def test_the_error_reduction_has_the_interval_of_the_logarithms_of_the_errors() -> None:
    first, second = np.array([90.0, 91.0, 92.0]), np.array([80.0, 81.0, 85.0])
    found = error_reduction(first, second, paired=True)
    interval = stats.ttest_rel(np.log(100 - first), np.log(100 - second)).confidence_interval(0.95)
    assert found.low == pytest.approx(100 * (1 - np.exp(interval.high)))
    assert found.high == pytest.approx(100 * (1 - np.exp(interval.low)))
    assert found.low is not None and found.high is not None and found.low < found.percent < found.high
    with pytest.raises(InputError, match="needs scores below 100"):
        error_reduction([100.0, 99.0], [90.0, 91.0])
