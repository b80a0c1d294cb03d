"""Student's t over seeds against scipy, and the resampling of test examples against the normal interval."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from elmo.errors import InputError
from experiments.compare.statistics.intervals import (
    percentiles,
    resampled_sums,
    t_interval,
)


def test_the_interval_of_three_seeds_is_that_of_the_table_of_t() -> None:
    found = t_interval([80.0, 81.0, 82.0])
    assert found is not None
    half = 4.302653 / 3**0.5  # the 97.5 % point with 2 degrees of freedom, and a deviation of 1
    assert (found.mean, found.deviation, found.n, found.level) == (81.0, 1.0, 3, 0.95)
    assert (found.low, found.high) == (pytest.approx(81 - half), pytest.approx(81 + half))


@pytest.mark.parametrize("n", [2, 3, 5, 40])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_interval_is_that_of_scipy(n: int, level: float) -> None:
    scores = np.random.default_rng(n).normal(80, 2, n)
    found = t_interval(scores, level=level)
    expected = stats.ttest_1samp(scores, 0.0).confidence_interval(level)
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_a_single_score_has_no_interval() -> None:
    assert t_interval([80.0]) is None


def test_equal_scores_have_an_interval_without_width() -> None:
    found = t_interval([80.0, 80.0])
    assert found is not None
    assert (found.low, found.high, found.deviation) == (80.0, 80.0, 0.0)


def test_the_interval_over_seeds_covers_what_it_says_and_a_bootstrap_over_seeds_does_not() -> None:
    generator = np.random.default_rng(1)
    covered, bootstrapped = 0, 0
    for i in range(1000):
        scores = generator.normal(0.0, 1.0, 3)
        found = t_interval(scores)
        assert found is not None
        covered += found.low <= 0 <= found.high
        low, high = percentiles(resampled_sums(scores[:, None], 500, seed=i)[:, 0] / 3, 0.95)
        bootstrapped += low <= 0 <= high
    assert 930 <= covered <= 970  # of 1,000: three deviations of a share of 95 %
    assert 710 <= bootstrapped <= 790


def test_the_bootstrap_over_examples_agrees_with_the_normal_interval() -> None:
    scores = (np.random.default_rng(0).random((2000, 1)) < 0.9) * 100.0
    low, high = percentiles(resampled_sums(scores, 10_000, seed=0)[:, 0] / 2000, 0.95)
    half = 1.96 * scores.std() / 2000**0.5
    assert low == pytest.approx(scores.mean() - half, abs=0.05)
    assert high == pytest.approx(scores.mean() + half, abs=0.05)


def test_resamples_are_the_same_for_the_same_seed() -> None:
    parts = np.random.default_rng(0).random((50, 2))
    found = [resampled_sums(parts, 10, seed=seed) for seed in (1, 1, 2)]
    assert (found[0] == found[1]).all() and not (found[0] == found[2]).any()


def test_resampled_sums_are_those_of_draws_with_replacement() -> None:
    sums = resampled_sums(np.array([[1.0, 0.0], [0.0, 10.0]]), 20_000, seed=0)
    assert sums.shape == (20_000, 2)
    assert set(map(tuple, sums.tolist())) == {(2.0, 0.0), (1.0, 10.0), (0.0, 20.0)}
    assert (sums[:, 0] == 1).mean() == pytest.approx(0.5, abs=0.02)


def test_blocks_of_resamples_make_up_the_number_asked_for() -> None:
    assert resampled_sums(np.ones((300_000, 1)), 13, seed=0).shape == (13, 1)  # 6 fit into a block
    with pytest.raises(InputError, match="num_resamples: at least 1"):
        resampled_sums(np.ones((3, 1)), 0, seed=0)
