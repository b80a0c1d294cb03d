"""Mean ranks and critical differences against the worked example of Demsar (2006, section 3.2.2)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from elmo.errors import InputError
from experiments.compare.statistics.ranks import compare_ranks

SCORES = np.random.default_rng(0).normal([[80.0], [80.5], [81.0], [82.0]], 1.0, (4, 14)).round(1)


def test_four_methods_on_fourteen_data_sets_have_the_critical_difference_of_demsar() -> None:
    found = compare_ranks(SCORES)
    assert found is not None
    assert found.critical_difference == pytest.approx(1.25, abs=0.005)  # 2.569 sqrt(4 * 5 / (6 * 14))
    assert found.friedman_p == pytest.approx(stats.friedmanchisquare(*SCORES).pvalue)
    ranks = [
        np.mean(
            [1 + sum(SCORES[:, i] > own) + (sum(SCORES[:, i] == own) - 1) / 2 for i, own in enumerate(row)]
        )
        for row in SCORES
    ]
    assert found.ranks == pytest.approx(ranks)


@pytest.mark.parametrize("num_methods", [3, 5])
def test_a_pair_differs_where_its_ranks_are_further_apart_than_the_critical_difference(
    num_methods: int,
) -> None:
    generator = np.random.default_rng(num_methods)
    for _ in range(10):
        scores = generator.normal(np.arange(num_methods)[:, None], 1.5, (num_methods, 6))
        found = compare_ranks(scores)
        assert found is not None
        gaps = np.abs(found.ranks[:, None] - found.ranks)
        assert ((found.p_values < 0.05) == (gaps > found.critical_difference)).all()
        assert (found.p_values == found.p_values.T).all()
        assert (np.diag(found.p_values) == 1).all()


def test_the_best_method_has_rank_one() -> None:
    found = compare_ranks(np.array([[70.0] * 5, [90.0] * 5, [80.0] * 5]))
    assert found is not None
    assert found.ranks.tolist() == [3.0, 1.0, 2.0]
    assert found.p_values[0, 1] < 0.01 < 0.05 < found.p_values[0, 2]


def test_methods_with_equal_scores_do_not_differ() -> None:
    found = compare_ranks(np.full((3, 5), 80.0))
    assert found is not None
    assert (found.friedman_p, found.ranks.tolist()) == (1.0, [2.0, 2.0, 2.0])
    assert (found.p_values > 0.99).all()


def test_few_data_sets_or_methods_have_no_critical_difference() -> None:
    assert compare_ranks(SCORES[:, :4]) is None
    assert compare_ranks(SCORES[:2]) is None
    with pytest.raises(InputError, match="nan"):
        compare_ranks(np.where(SCORES > 82, np.nan, SCORES))
