"""What a comparison over seeds could have found, and how many seeds a difference needs."""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Callable

from elmo.errors import InputError
from experiments.compare.statistics.checks import package

POWER = 0.8  # the probability of finding the difference
SIGNIFICANCE = 0.05  # two-sided
MOST_SEEDS = 100_000


def smallest_difference(deviations: tuple[float, float], n: tuple[int, int]) -> float | None:
    """The true difference that Welch's test over these numbers of seeds finds with a power of 80 %.

    By the noncentral t distribution, with Welch's degrees of freedom. With equal deviations it is 3.1 of them
    at 3 + 3 seeds and 2.0 at 5 + 5. None where a side has a single seed.

    Args:
        deviations: the standard deviation of one seed's score, of each side.
        n: the number of seeds of each side.
    """
    _check(*deviations)
    return None if min(n) < 2 else _independent(deviations, n)


def smallest_paired_difference(deviation: float, n: int) -> float | None:
    """The same for the paired test over n pairs, whose differences have this standard deviation."""
    _check(deviation)
    return None if n < 2 else _paired(deviation, n)


def seeds_needed(difference: float, deviations: tuple[float, float]) -> int | None:
    """How many seeds of each method Welch's test needs to find a true difference with a power of 80 %.

    None if it is more than 100,000, as for a difference of zero.
    """
    _check(*deviations)
    return _fewest(lambda n: _independent(deviations, (n, n)), abs(difference))


def pairs_needed(difference: float, deviation: float) -> int | None:
    """The same in pairs, for the paired test; the deviation is that of the pairs' differences."""
    _check(deviation)
    return _fewest(lambda n: _paired(deviation, n), abs(difference))


def _fewest(smallest: Callable[[int], float], difference: float) -> int | None:
    """The fewest seeds, from 2 on, whose smallest difference is at most this one."""
    if difference == 0 or smallest(MOST_SEEDS) > difference:
        return None
    return 2 + bisect.bisect_left(range(2, MOST_SEEDS), True, key=lambda n: smallest(n) <= difference)


def _paired(deviation: float, n: int) -> float:
    return _shift_found(n - 1) * deviation / math.sqrt(n)


def _independent(deviations: tuple[float, float], n: tuple[int, int]) -> float:
    errors = [deviation**2 / size for deviation, size in zip(deviations, n, strict=True)]  # squared
    spread = sum(error**2 / (size - 1) for error, size in zip(errors, n, strict=True))
    degrees = sum(errors) ** 2 / spread if spread else sum(n) - 2
    return _shift_found(degrees) * math.sqrt(sum(errors))


@functools.cache
def _shift_found(degrees: float) -> float:
    """How many standard errors the true difference must be, for the t test to find it with this power.

    That the test finds it with the wrong sign, which has a probability below 1e-5, is left out.
    """
    special = package("scipy.special")
    critical = special.stdtrit(degrees, 1 - SIGNIFICANCE / 2)
    return float(special.nctdtrinc(degrees, 1 - POWER, critical))


def _check(*deviations: float) -> None:
    for deviation in deviations:
        if not 0 <= deviation < math.inf:
            raise InputError(f"deviation: a number from 0 on expected, got {deviation}")
