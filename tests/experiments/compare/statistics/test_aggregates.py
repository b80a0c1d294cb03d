"""Figures over data sets and seeds against scipy, plain loops and known coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from elmo.errors import InputError
from experiments.compare.statistics.aggregates import (
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
)

GENERATOR = np.random.default_rng(0)
TABLE = [GENERATOR.normal(mean, 3, 5) for mean in (60, 70, 80)]
OTHER = [runs + shift for runs, shift in zip(TABLE, (-4.0, 0.0, 4.0), strict=True)]


def test_the_interquartile_mean_is_that_of_scipy_over_all_runs() -> None:
    found = interquartile_mean(TABLE)
    assert found.estimate == pytest.approx(stats.trim_mean(np.concatenate(TABLE), 0.25))
    assert found.low is not None and found.high is not None
    assert found.low < found.estimate < found.high
    assert interquartile_mean([[1.0, 2.0], [3.0, 100.0]]).estimate == 2.5


def test_the_probability_of_improvement_is_the_statistic_of_mann_and_whitney() -> None:
    found = probability_of_improvement(TABLE, OTHER)
    expected = [
        stats.mannwhitneyu(x, y).statistic / (len(x) * len(y)) for x, y in zip(TABLE, OTHER, strict=True)
    ]
    assert found.estimate == pytest.approx(np.mean(expected))
    back = probability_of_improvement(OTHER, TABLE)
    assert found.estimate + back.estimate == pytest.approx(1.0)


def test_ties_are_half_an_improvement() -> None:
    assert probability_of_improvement([[1.0, 2.0]], [[2.0, 3.0, 0.0]]).estimate == (1 + 1 + 0.5) / 6
    equal = probability_of_improvement([[1.0, 1.0]], [[1.0, 1.0]])
    assert (equal.estimate, equal.low, equal.high) == (0.5, 0.5, 0.5)


def test_the_performance_profile_is_the_share_of_runs_above_each_threshold() -> None:
    found = performance_profile([[1.0, 2.0, 3.0], [2.0]], [0.0, 1.0, 2.0, 3.0])
    assert found.estimate.tolist() == pytest.approx([1.0, (2 / 3 + 1) / 2, 1 / 6, 0.0])
    assert found.low is not None and found.high is not None
    assert (found.low <= found.estimate).all() and (found.estimate <= found.high).all()
    assert found.low[1] < found.estimate[1] < found.high[1]


def test_resampling_keeps_to_each_data_set() -> None:
    # The runs of each data set are equal, so that only mixing the data sets could change the mean.
    found = interquartile_mean([[60.0, 60.0], [80.0, 80.0]])
    assert (found.estimate, found.low, found.high) == (70.0, 70.0, 70.0)


def test_the_interval_comes_near_to_its_level_where_seeds_are_many() -> None:
    generator, covered = np.random.default_rng(1), 0
    for i in range(200):
        found = interquartile_mean(generator.normal(0, 1, (5, 20)), num_resamples=400, seed=i)
        assert found.low is not None and found.high is not None
        covered += found.low <= 0 <= found.high
    assert 180 <= covered <= 198


def test_a_single_run_of_each_data_set_has_no_interval() -> None:
    found = interquartile_mean([[60.0], [70.0], [80.0]])
    assert (found.estimate, found.low, found.high) == (70.0, None, None)
    assert probability_of_improvement([[60.0]], [[50.0]]).low is None
    assert probability_of_improvement([[60.0]], [[50.0, 70.0]]).low is not None


def test_intervals_are_the_same_each_time() -> None:
    found = [performance_profile(TABLE, [65.0, 75.0], seed=seed).low for seed in (0, 0)]
    assert found[0] is not None and found[1] is not None
    assert (found[0] == found[1]).all()


def test_other_data_sets_and_missing_scores_are_refused() -> None:
    with pytest.raises(InputError, match="3 and 2 data sets; give the same"):
        probability_of_improvement(TABLE, OTHER[:2])
    with pytest.raises(InputError, match=r"scores, data set 1: value \[0\] is nan"):
        interquartile_mean([[1.0], [float("nan")]])
    with pytest.raises(InputError, match="scores: there is no data set"):
        interquartile_mean([])
