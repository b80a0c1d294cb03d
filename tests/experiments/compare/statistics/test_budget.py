"""Budget curves against all draws of trials by brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from elmo.errors import InputError
from experiments.compare.statistics.budget import expected_best


def test_the_curve_is_the_mean_over_all_draws_with_replacement() -> None:
    validation, test = np.array([3.0, 1.0, 4.0, 1.5]), np.array([30.0, 20.0, 10.0, 40.0])
    found = expected_best(validation, test)
    assert found.test is not None and found.test_deviation is not None
    for k in range(1, 5):
        draws = [max(draw, key=lambda i: validation[i]) for draw in itertools.product(range(4), repeat=k)]
        assert found.validation[k - 1] == pytest.approx(validation[draws].mean())
        assert found.deviation[k - 1] == pytest.approx(validation[draws].std())
        assert found.test[k - 1] == pytest.approx(test[draws].mean())
        assert found.test_deviation[k - 1] == pytest.approx(test[draws].std())


def test_a_worked_example() -> None:
    found = expected_best([80.0, 90.0])  # of two draws the best is 80 in one of four cases
    assert found.validation.tolist() == [85.0, 87.5]
    assert found.deviation.tolist() == [5.0, pytest.approx(75**0.5 / 2)]


def test_the_band_stays_within_the_scores_that_occurred() -> None:
    found = expected_best([80.0, 90.0, 90.0])
    assert found.high.tolist() == [90.0, 90.0, 90.0]
    assert (found.low < found.validation).all() and (found.low >= 80).all()
    assert (np.diff(found.validation) > 0).all()


def test_trials_that_are_equal_on_dev_are_chosen_alike_whatever_their_order() -> None:
    validation, test = [80.0, 90.0, 90.0, 90.0], [10.0, 20.0, 60.0, 40.0]
    found = expected_best(validation, test)
    assert found.test is not None
    assert found.test[0] == pytest.approx(np.mean(test))
    assert found.test[3] == pytest.approx(40.0 - 30.0 / 4**4)
    turned = expected_best(validation[::-1], test[::-1])
    assert turned.test is not None
    assert turned.test == pytest.approx(found.test)


def test_a_single_trial_is_its_own_expectation() -> None:
    found = expected_best([80.0], [70.0])
    assert (found.validation.tolist(), found.deviation.tolist()) == ([80.0], [0.0])
    assert found.test is not None and found.test.tolist() == [70.0]


def test_every_trial_needs_both_scores() -> None:
    with pytest.raises(InputError, match="test: a score for each of 2 trials expected, got 1"):
        expected_best([1.0, 2.0], [1.0])
    with pytest.raises(InputError, match=r"validation: value \[1\] is nan"):
        expected_best([1.0, float("nan")])
