"""The claim "these models, on new examples": approximate randomisation over per-example scores.

What it says holds for these trained models and new test examples of the same kind. It says nothing of the
same methods trained again: read so, it raises false alarms far more often than its level
(`python -m experiments.benchmark statistics`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from elmo.errors import InputError
from experiments.compare.statistics.checks import Floats, finite, package

NUM_PERMUTATIONS = 10_000
_NUMBERS_AT_ONCE = 2_000_000  # of a block of permutations: 16 MB
_LONGEST_DISTRIBUTION = 20_000  # of exact sums: convolved in some 0.1 s


@dataclass(frozen=True)
class ExamplesTest:
    """A difference of two groups of models on the same test examples, and how often chance gives as large a
    one."""

    difference: float  # first minus second
    p: float  # two-sided
    num_examples: int
    num_different: int  # examples on which the two sides' mean scores differ
    exact: bool  # over all permutations
    num_permutations: int | None  # drawn at random; None if exact
    design: str


def compare_on_examples(
    first: ArrayLike,
    second: ArrayLike,
    *,
    num_permutations: int = NUM_PERMUTATIONS,
    seed: int = 0,
) -> ExamplesTest:
    """Approximate randomisation (Noreen 1989; Riezler and Maxwell 2005): the two sides' scores of an example
    are swapped at random, and p is the share of permutations with at least the difference that was seen.

    The metric is the mean of the examples' scores. Several runs of a side enter by their mean score of each
    example, and are swapped together, so that the runs of the two sides may be of any number. The test is
    exact where the examples' differences are multiples of one number, as of scores of 0 and 1 (for single
    runs it is the sign test, or exact McNemar test), or where so few examples differ that all swaps are at
    most `num_permutations`. Else p = (1 + permutations as extreme) / (1 + permutations).

    Args:
        first: scores of its runs on each example, (runs, examples).
        second: the same of the other side, of the same examples in the same order.
    """
    one, two = _means_over_runs(first, second, dimensions=2)
    moved = (two - one)[np.abs(one - two) > 1e-12]  # what the first side gains when an example is swapped
    exact = _exact_of_multiples(moved, math.lcm(len(np.asarray(first)), len(np.asarray(second))))

    def differences(gains: Floats) -> Floats:
        return np.asarray(one.sum() - two.sum() + 2 * gains[:, 0]) / len(one)

    return _randomised(differences, moved[:, None], len(one), exact, num_permutations, seed)


def compare_ratios(
    first: ArrayLike,
    second: ArrayLike,
    *,
    num_permutations: int = NUM_PERMUTATIONS,
    seed: int = 0,
) -> ExamplesTest:
    """The same of a metric that is a ratio of sums over examples, such as the F1 of spans (Yeh 2000).

    The two sides' numerators and denominators of an example are swapped together. Several runs of a side
    enter by their means of both, so that the score of a side is that of all its runs' predictions together.

    Args:
        first: numerators and denominators of its runs on each example, (runs, examples, 2).
        second: the same of the other side, of the same examples in the same order.
    """
    one, two = _means_over_runs(first, second, dimensions=3)
    moved = (two - one)[np.abs(one - two).max(axis=1) > 1e-12]

    def differences(gains: Floats) -> Floats:
        return ratios_of(one.sum(axis=0) + gains) - ratios_of(two.sum(axis=0) - gains)

    return _randomised(differences, moved, len(one), None, num_permutations, seed)


def ratios_of(sums: Floats) -> Floats:
    """The ratio in percent of each numerator and denominator, (..., 2); zero where both are."""
    return 100 * sums[..., 0] / np.where(sums[..., 1] == 0, 1, sums[..., 1])


def _randomised(
    differences: Callable[[Floats], Floats],
    moved: Floats,
    n: int,
    exact: float | None,
    num_permutations: int,
    seed: int,
) -> ExamplesTest:
    """The test of the difference that is seen without any swap.

    Args:
        differences: of what the first side gains by swaps, (swaps, parts).
        moved: what it gains by the swap of each example that differs, (different, parts).
        n: the number of examples.
        exact: the p-value, if it is known.
    """
    seen = float(differences(np.zeros((1, moved.shape[1])))[0])
    num_different = len(moved)
    if exact is None and 2**num_different <= num_permutations:
        exact = float(_as_extreme(differences(_all_swaps(num_different) @ moved), seen).mean())
    design = f"approximate randomisation over {n} examples, {num_different} of which differ"
    if exact is not None:
        design += ", exact over all permutations"
        return ExamplesTest(seen, min(1.0, exact), n, num_different, True, None, design)
    times = 0
    parts = [_random_gains(part, num_permutations, seed=seed) for part in moved.T]  # of the same swaps
    for gains in zip(*parts, strict=True):
        times += int(_as_extreme(differences(np.stack(gains, axis=1)), seen).sum())
    p = (1 + times) / (1 + num_permutations)
    design += f", {num_permutations} random permutations"
    return ExamplesTest(seen, p, n, num_different, False, num_permutations, design)


def _means_over_runs(first: ArrayLike, second: ArrayLike, *, dimensions: int) -> tuple[Floats, Floats]:
    """The mean scores of each side's runs, (examples, ...)."""
    one, two = (
        finite(scores, name, dimensions=dimensions) for scores, name in ((first, "first"), (second, "second"))
    )
    if one.shape[1] != two.shape[1]:
        raise InputError(
            "first and second: scores of the same examples expected, got"
            f" {one.shape[1]} and {two.shape[1]} of them"
        )
    return one.mean(axis=0), two.mean(axis=0)


def _as_extreme(differences: Floats, seen: float) -> np.ndarray:
    """Which differences are as large as the one seen, but for the rounding of their sums."""
    return np.abs(differences) >= abs(seen) - 1e-9 * max(1.0, abs(seen))


def _all_swaps(num_examples: int) -> Floats:
    """Every way of swapping examples, (2^examples, examples) of 0 and 1."""
    numbers = np.arange(2**num_examples)[:, None]
    return (numbers >> np.arange(num_examples) & 1).astype(np.float64)


def _random_gains(moved: Floats, num_permutations: int, *, seed: int) -> Iterator[Floats]:
    """What swaps of random examples gain, in blocks of (permutations,).

    The examples are taken in eights: a random byte says which of them are swapped, and a table of the 256
    cases what that gains, which saves seven of eight additions.
    """
    generator = np.random.default_rng(seed)
    eights = -(-len(moved) // 8)
    padded = np.concatenate([moved, np.zeros(8 * eights - len(moved))])
    table = (padded.reshape(eights, 8) @ _all_swaps(8).T).ravel()
    starts = 256 * np.arange(eights)
    block = max(1, _NUMBERS_AT_ONCE // eights)
    for start in range(0, num_permutations, block):
        shape = (min(block, num_permutations - start), eights)
        yield table.take(starts + generator.integers(0, 256, shape, dtype=np.uint8)).sum(axis=1)


def _exact_of_multiples(differences: Floats, factor: int) -> float | None:
    """p over all swaps, if the differences times `factor` are whole numbers; else None.

    Examples with the same size of difference, m, move the sum by m times a binomial number: the distribution
    of the sum is the convolution of one such distribution for each size.
    """
    whole = np.rint(differences * factor).astype(np.int64)
    if np.abs(differences * factor - whole).max(initial=0.0) > 1e-6:
        return None
    sizes, counts = np.unique(np.abs(whole), return_counts=True)
    sizes //= max(1, int(np.gcd.reduce(sizes)))
    total = int(sizes @ counts)
    if total > _LONGEST_DISTRIBUTION:
        return None
    log_factorials = package("scipy.special").gammaln(np.arange(1, 2 + counts.max(initial=0)))
    distribution = np.ones(1)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        steps = np.zeros(size * count + 1)
        log_ways = log_factorials[count] - log_factorials[: count + 1] - log_factorials[count::-1]
        steps[::size] = np.exp(log_ways - count * math.log(2))  # the number of swapped ones is binomial
        distribution = np.convolve(distribution, steps)
    sums = np.abs(2 * np.arange(total + 1) - total)
    seen = abs(int(whole.sum())) // max(1, int(np.gcd.reduce(np.abs(whole))))
    return float(distribution[sums >= seen].sum())
