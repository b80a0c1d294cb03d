"""Holm's correction by hand."""

from __future__ import annotations

import pytest

from experiments.compare.statistics.correction import holm


def test_holm_multiplies_the_smallest_p_by_the_number_of_pairs_and_keeps_the_order() -> None:
    # 0.01 * 4, 0.02 * 3, 0.03 * 2, 0.5 * 1: each at least the one before it
    assert holm([0.03, 0.01, 0.5, 0.02]) == [pytest.approx(p) for p in (0.06, 0.04, 0.5, 0.06)]
    assert holm([0.9, 0.6]) == [1.0, 1.0]


def test_a_pair_that_could_not_be_tested_does_not_count() -> None:
    assert holm([None, 0.02, None, 0.5]) == [None, pytest.approx(0.04), None, 0.5]
    assert holm([None]) == [None]
    assert holm([]) == []
