"""The power of the tests over seeds against statsmodels and simulated comparisons."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestIndPower, TTestPower

from elmo.errors import InputError
from experiments.compare.statistics.power import (
    pairs_needed,
    seeds_needed,
    smallest_difference,
    smallest_paired_difference,
)


def test_three_seeds_find_differences_of_three_deviations_and_five_of_two() -> None:
    found = [smallest_difference((1.0, 1.0), (n, n)) for n in (3, 5)]
    assert found == [pytest.approx(3.1, abs=0.05), pytest.approx(2.0, abs=0.05)]


@pytest.mark.parametrize("n", [2, 3, 10, 50])
def test_the_smallest_difference_is_that_of_statsmodels(n: int) -> None:
    expected = TTestIndPower().solve_power(nobs1=n, alpha=0.05, power=0.8)
    assert smallest_difference((2.0, 2.0), (n, n)) == pytest.approx(2 * expected, rel=1e-4)
    if n > 2:  # with a single degree of freedom statsmodels does not converge
        expected = TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8)
        assert smallest_paired_difference(0.5, n) == pytest.approx(0.5 * expected, rel=1e-4)


def test_the_test_of_welch_finds_the_smallest_difference_in_four_of_five_comparisons() -> None:
    generator = np.random.default_rng(0)
    difference = smallest_difference((1.0, 2.0), (5, 8))
    assert difference is not None
    first, second = generator.normal(difference, 1, (4000, 5)), generator.normal(0, 2, (4000, 8))
    found = stats.ttest_ind(first, second, axis=1, equal_var=False).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.02)


def test_a_single_seed_can_find_nothing() -> None:
    assert smallest_difference((1.0, 1.0), (1, 5)) is None
    assert smallest_paired_difference(1.0, 1) is None


def test_the_seeds_needed_are_the_fewest_that_find_the_difference() -> None:
    needed = seeds_needed(-1.0, (1.0, 1.0))
    assert needed == math.ceil(TTestIndPower().solve_power(effect_size=1.0, alpha=0.05, power=0.8)) == 17
    assert (
        pairs_needed(1.0, 1.0)
        == 10
        == math.ceil(TTestPower().solve_power(effect_size=1.0, alpha=0.05, power=0.8))
    )
    fewer, enough = (smallest_difference((0.7, 1.1), (n, n)) for n in (30, 31))
    assert fewer is not None and enough is not None
    assert seeds_needed((fewer + enough) / 2, (0.7, 1.1)) == 31


def test_a_difference_that_no_number_of_seeds_finds_needs_none() -> None:
    assert seeds_needed(0.0, (1.0, 1.0)) is None
    assert seeds_needed(0.001, (1.0, 1.0)) is None
    assert seeds_needed(100.0, (1.0, 1.0)) == 2
    assert pairs_needed(0.0, 0.0) is None
    assert smallest_difference((0.0, 0.0), (3, 3)) == 0.0
    assert seeds_needed(1.0, (0.0, 0.0)) == 2


def test_a_deviation_that_is_no_number_is_refused() -> None:
    for call in (
        lambda: smallest_difference((math.nan, 1.0), (3, 3)),
        lambda: smallest_paired_difference(-1.0, 3),
        lambda: seeds_needed(1.0, (math.inf, 1.0)),
        lambda: pairs_needed(1.0, math.nan),
    ):
        with pytest.raises(InputError, match="deviation: a number from 0 on expected"):
            call()
