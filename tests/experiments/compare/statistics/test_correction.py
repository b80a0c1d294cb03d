"""Holm's correction by hand, and against statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from experiments.compare.statistics.correction import holm


def test_holm_multiplies_the_smallest_p_by_the_number_of_pairs_and_keeps_the_order() -> None:
    # 0.01 * 4, 0.02 * 3, 0.03 * 2, 0.5 * 1: each at least the one before it
    assert holm([0.03, 0.01, 0.5, 0.02]) == [pytest.approx(p) for p in (0.06, 0.04, 0.5, 0.06)]
    assert holm([0.9, 0.6]) == [1.0, 1.0]


def test_the_adjusted_p_values_are_those_of_statsmodels() -> None:
    p_values = np.round(np.random.default_rng(0).random(200) ** 3, 2)  # with many that are equal
    assert holm(p_values.tolist()) == pytest.approx(multipletests(p_values, method="holm")[1])


def test_a_pair_that_could_not_be_tested_does_not_count() -> None:
    assert holm([None, 0.02, None, 0.5]) == [None, pytest.approx(0.04), None, 0.5]
    assert holm([None]) == [None]
    assert holm([]) == []
