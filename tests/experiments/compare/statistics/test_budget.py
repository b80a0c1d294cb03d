"""Budget curves against all draws of trials by brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from elmo.errors import InputError
from experiments.compare.statistics.budget import expected_best


def test_the_curve_is_the_mean_over_all_draws_with_replacement() -> None:
    validation = [3.0, 1.0, 4.0, 1.5, 3.0]
    found = expected_best(validation)
    for k in range(1, 6):
        best = [max(draw) for draw in itertools.product(validation, repeat=k)]
        assert found.validation[k - 1] == pytest.approx(np.mean(best))
        assert found.deviation[k - 1] == pytest.approx(np.std(best))


def test_a_worked_example() -> None:
    found = expected_best([80.0, 90.0])  # of two draws the best is 80 in one of four cases
    assert found.validation.tolist() == [85.0, 87.5]
    assert found.deviation.tolist() == [5.0, pytest.approx(75**0.5 / 2)]


def test_the_band_stays_within_the_scores_that_occurred() -> None:
    found = expected_best([80.0, 90.0, 90.0])
    assert found.high.tolist() == [90.0, 90.0, 90.0]
    assert (found.low < found.validation).all() and (found.low >= 80).all()
    assert (np.diff(found.validation) > 0).all()


def test_a_single_trial_is_its_own_expectation() -> None:
    found = expected_best([80.0])
    assert (found.validation.tolist(), found.deviation.tolist()) == ([80.0], [0.0])


def test_every_trial_needs_a_score() -> None:
    with pytest.raises(InputError, match=r"validation: value \[1\] is nan"):
        expected_best([1.0, float("nan")])
