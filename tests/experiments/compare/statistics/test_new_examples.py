"""Approximate randomisation against all permutations by brute force, and against scipy's exact tests."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from elmo.errors import InputError
from experiments.compare.statistics.new_examples import compare_on_examples, compare_ratios


def by_brute_force(first: np.ndarray, second: np.ndarray) -> float:
    """The share of all swaps of examples with at least the difference that was seen, by plain loops."""
    one, two = first.mean(axis=0), second.mean(axis=0)
    seen = abs(one.sum() - two.sum())
    extreme = 0
    for swaps in itertools.product([False, True], repeat=len(one)):
        total = sum(b - a if swap else a - b for swap, a, b in zip(swaps, one, two, strict=True))
        extreme += abs(total) >= seen - 1e-9
    return float(extreme / 2 ** len(one))


@pytest.mark.parametrize("runs", [(1, 1), (3, 3), (2, 3)])
def test_scores_of_zero_and_one_are_tested_over_all_permutations(runs: tuple[int, int]) -> None:
    generator = np.random.default_rng(sum(runs))
    first, second = (generator.random((runs[0], 11)) < 0.8), (generator.random((runs[1], 11)) < 0.4)
    found = compare_on_examples(first, second, num_permutations=1)  # it needs no random permutation
    assert found.exact and found.num_permutations is None
    assert found.p == pytest.approx(by_brute_force(first, second))
    assert found.difference == pytest.approx(first.mean() - second.mean())


def test_single_runs_of_zero_and_one_are_tested_by_the_exact_test_of_mcnemar() -> None:
    generator = np.random.default_rng(3)
    first, second = generator.random((1, 1821)) < 0.9, generator.random((1, 1821)) < 0.88
    found = compare_on_examples(100.0 * first, 100.0 * second)
    wins, losses = int((first & ~second).sum()), int((second & ~first).sum())
    assert found.num_different == wins + losses
    assert found.p == pytest.approx(stats.binomtest(wins, wins + losses).pvalue)
    assert found.p == pytest.approx(mcnemar([[0, wins], [losses, 0]], exact=True).pvalue)


def test_few_examples_that_differ_are_tested_over_all_permutations() -> None:
    generator = np.random.default_rng(1)
    first, second = generator.random((2, 40)), generator.random((3, 40))
    first[:, 9:] = second[0, 9:]
    second[:, 9:] = second[0, 9:]
    found = compare_on_examples(first, second)
    assert (found.exact, found.num_different) == (True, 9)
    assert found.p == pytest.approx(by_brute_force(first[:, :9], second[:, :9]))


def test_random_permutations_come_near_to_the_test_over_all() -> None:
    generator = np.random.default_rng(2)
    first, second = generator.random((1, 15)) + 0.15, generator.random((1, 15))
    exact, drawn = (compare_on_examples(first, second, num_permutations=n) for n in (2**15, 20_000))
    assert (exact.exact, drawn.exact, drawn.num_permutations) == (True, False, 20_000)
    assert exact.p == pytest.approx(by_brute_force(first, second))
    assert drawn.p == pytest.approx(exact.p, abs=0.01)
    expected = stats.permutation_test(
        (first[0], second[0]), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf
    )
    assert exact.p == pytest.approx(expected.pvalue)


def test_a_p_by_random_permutations_is_never_zero() -> None:
    generator = np.random.default_rng(2)
    first = generator.random((1, 100))
    found = compare_on_examples(first + 1 + 0.1 * generator.random(100), first, num_permutations=999)
    assert found.p == 1 / 1000


def test_equal_scores_have_a_p_of_one() -> None:
    scores = np.random.default_rng(0).random((2, 30))
    found = compare_on_examples(scores, scores[::-1])
    assert (found.p, found.num_different, found.difference) == (1.0, 0, 0.0)
    assert compare_on_examples(scores + 0.5, scores[:, ::-1] + 0.5).num_different == 30


def test_the_order_of_the_sides_turns_the_difference_alone() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.random((2, 200)), generator.random((2, 200))
    there, back = compare_on_examples(first, second), compare_on_examples(second, first)
    assert (there.p, there.difference) == (back.p, -back.difference)


def test_p_values_are_uniform_where_the_sides_do_not_differ() -> None:
    generator = np.random.default_rng(0)
    found = [
        compare_on_examples(*generator.random((2, 1, 60)), num_permutations=500, seed=i).p for i in range(400)
    ]
    assert stats.kstest(found, "uniform").pvalue > 0.01


def test_ten_thousand_permutations_of_a_test_set_take_well_under_a_second() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.random((2, 5, 1821))
    start = time.process_time()
    found = compare_on_examples(first, second)
    assert (found.num_permutations, found.num_different) == (10_000, 1821)
    assert time.process_time() - start < 1.0


def test_other_examples_are_refused() -> None:
    with pytest.raises(InputError, match="scores of the same examples expected, got 5 and 4 of them"):
        compare_on_examples(np.ones((1, 5)), np.ones((1, 4)))
    with pytest.raises(InputError, match="first: an array of 2 dimensions expected, got 1"):
        compare_on_examples(np.ones(5), np.ones(5))


def f1_by_brute_force(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """The difference of two taggers' F1, and the share of all swaps of sentences with one as large."""

    def difference(swaps: tuple[bool, ...]) -> float:
        sums = np.zeros((2, 2))
        for swap, one, two in zip(swaps, first.mean(axis=0), second.mean(axis=0), strict=True):
            sums += [two, one] if swap else [one, two]
        return float(100 * (sums[0, 0] / sums[0, 1] - sums[1, 0] / sums[1, 1]))

    seen = difference((False,) * first.shape[1])
    swaps = list(itertools.product([False, True], repeat=first.shape[1]))
    return seen, sum(abs(difference(each)) >= abs(seen) - 1e-9 for each in swaps) / len(swaps)


@pytest.mark.parametrize("runs", [(1, 1), (2, 3)])
def test_f1_is_tested_by_swaps_of_whole_sentences(runs: tuple[int, int]) -> None:
    generator = np.random.default_rng(runs[0])
    gold = generator.integers(1, 4, 12)

    def counts(number: int, quality: float) -> np.ndarray:
        """Of each run and sentence twice the right spans, and the gold and predicted ones."""
        predicted = generator.integers(0, 4, (number, len(gold)))
        right = generator.binomial(np.minimum(predicted, gold), quality)
        return np.stack([2 * right, predicted + gold], axis=-1)

    first, second = counts(runs[0], 0.9), counts(runs[1], 0.4)
    seen, p = f1_by_brute_force(first, second)
    exact = compare_ratios(first, second)
    assert exact.exact and (exact.difference, exact.p) == (pytest.approx(seen), pytest.approx(p))
    near = compare_ratios(first, second, num_permutations=2000)
    assert not near.exact and near.p == pytest.approx(p, abs=0.03)
    nothing = np.zeros((1, 12, 2))
    assert compare_ratios(nothing, nothing).p == 1.0  # no tagger finds a span, and there is none
