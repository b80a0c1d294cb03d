"""The claim "the method, retrained": tests of the mean over seeds, by Student's t.

Each test is of the first method's mean minus the second's, two-sided. What it says holds for new seeds on the
same test set.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from elmo.errors import InputError
from experiments.compare.statistics.checks import Floats, constant, finite, package
from experiments.compare.statistics.intervals import LEVEL, quantile_of_t


@dataclass(frozen=True)
class RetrainedTest:
    """A difference of means over retrained models; no interval and no p where there is no spread."""

    difference: float  # first minus second
    low: float | None
    high: float | None
    level: float
    t: float | None
    degrees_of_freedom: float | None
    p: float | None  # two-sided
    n: tuple[int, int]  # runs of each side, pairs, or biLMs
    standard_error: float | None
    design: str  # what was compared, in words
    reason: str | None = None  # why there is no p


def compare_independent(first: ArrayLike, second: ArrayLike, *, level: float = LEVEL) -> RetrainedTest:
    """Welch's t test: the two methods' runs share nothing that makes their scores alike.

    The degrees of freedom are Welch's and Satterthwaite's. With 3 + 3 seeds of equal spread the test is
    careful: it raises false alarms of some 3.5 %, at a level of 5 %.

    Args:
        first: scores of its runs, (seeds,).
        second: the same of the other method; its number of runs may differ.
    """
    one, two = finite(first, "first"), finite(second, "second")
    n = (len(one), len(two))
    design = f"Welch's t test over {n[0]} and {n[1]} runs"
    difference = float(one.mean() - two.mean())
    if min(n) == 1:
        return _untested(difference, n, level, design, "a single run has no spread")
    if constant(one) and constant(two):
        return _untested(difference, n, level, design, "all runs of a side have the same score")
    errors = one.var(ddof=1) / n[0], two.var(ddof=1) / n[1]  # squared
    degrees = sum(errors) ** 2 / (errors[0] ** 2 / (n[0] - 1) + errors[1] ** 2 / (n[1] - 1))
    return _tested(difference, math.sqrt(sum(errors)), float(degrees), n, level, design)


def compare_paired(
    first: ArrayLike, second: ArrayLike, *, what: str = "pairs of runs", level: float = LEVEL
) -> RetrainedTest:
    """The paired t test: run i of the two methods shares what makes scores alike (seed, data order, biLM).

    Args:
        first: scores of its runs, (pairs,).
        second: the same of the other method, in the same order.
        what: the pairs' name in the design's words.
    """
    one, two = finite(first, "first"), finite(second, "second")
    if len(one) != len(two):
        raise InputError(f"first and second: {len(one)} and {len(two)} runs cannot be paired; give the pairs")
    differences = one - two
    n = (len(one), len(two))
    design = f"paired t test over {len(one)} {what}"
    mean = float(differences.mean())
    if len(one) == 1:
        return _untested(mean, n, level, design, "a single pair has no spread")
    if constant(differences):
        return _untested(mean, n, level, design, "all pairs have the same difference")
    error = float(differences.std(ddof=1)) / math.sqrt(len(one))
    return _tested(mean, error, len(one) - 1, n, level, design)


def compare_nested(
    first: ArrayLike,
    second: ArrayLike,
    *,
    first_bilms: Sequence[str] | None,
    second_bilms: Sequence[str] | None,
    level: float = LEVEL,
) -> RetrainedTest:
    """The test with several pretraining seeds: runs on the same biLM are first averaged, n is that of biLMs.

    Runs on one biLM are alike, so that counting each would claim more than was tried. Where both methods ran
    on the same biLMs, these are the pairs of a paired t test; else Welch's test compares the means.

    Args:
        first: scores of its runs, (runs,).
        second: the same of the other method.
        first_bilms: the name of the biLM that each run used, (runs,); None of a method without biLM, each run
            of which counts for itself.
        second_bilms: the same of the second method.
    """
    names_one, one = means_within(first, first_bilms)
    names_two, two = means_within(second, second_bilms)
    if names_one is not None and names_one == names_two:
        return compare_paired(one, two, what="biLMs, each the mean of its runs", level=level)
    test = compare_independent(one, two, level=level)
    units = ["runs" if names is None else "biLMs (means of their runs)" for names in (names_one, names_two)]
    design = f"Welch's t test over {len(one)} {units[0]} and {len(two)} {units[1]}"
    return RetrainedTest(**{**vars(test), "design": design})


def means_within(scores: ArrayLike, bilms: Sequence[str] | None) -> tuple[list[str] | None, Floats]:
    """The biLMs' names in order, and the mean score of each one's runs; without biLMs, the scores."""
    values = finite(scores, "scores")
    if bilms is None:
        return None, values
    if len(bilms) != len(values):
        raise InputError(f"bilms: one for each of {len(values)} runs expected, got {len(bilms)}")
    names = sorted(set(bilms))
    used = np.asarray(bilms)
    return names, np.array([values[used == name].mean() for name in names])


@dataclass(frozen=True)
class ErrorReduction:
    """How much smaller the first method's error is than the second's, in percent of the second's."""

    percent: float
    low: float | None
    high: float | None
    test: RetrainedTest  # of the logarithms of the errors


def error_reduction(
    first: ArrayLike, second: ArrayLike, *, best: float = 100.0, paired: bool = False, level: float = LEVEL
) -> ErrorReduction:
    """The relative error reduction, as in table 1 of Peters et al. (2018), with a t interval.

    The t interval is that of the difference of the errors' logarithms, so that the reduction is that of the
    errors' geometric means, which for seeds of one method hardly differ from the arithmetic ones.

    Args:
        first: scores of its runs, (seeds,), higher is better.
        second: the same of the baseline.
        best: the score without error.
        paired: whether run i of both shares seed, data order and biLM.

    Raises:
        InputError: a run has no error, so that there is nothing to take a ratio of.
    """
    errors = [best - finite(scores, name) for scores, name in ((first, "first"), (second, "second"))]
    if min(error.min() for error in errors) <= 0:
        raise InputError(f"scores: an error reduction needs scores below {best:g}")
    compare = compare_paired if paired else compare_independent
    test = compare(np.log(errors[0]), np.log(errors[1]), level=level)
    low, high = (None if end is None else _reduction(end) for end in (test.high, test.low))
    return ErrorReduction(_reduction(test.difference), low, high, test)


def _reduction(log_ratio: float) -> float:
    return 100 * (1 - math.exp(log_ratio))


def _tested(
    difference: float, error: float, degrees: float, n: tuple[int, int], level: float, design: str
) -> RetrainedTest:
    t = difference / error
    p = float(2 * package("scipy.special").stdtr(degrees, -abs(t)))
    half = quantile_of_t(level, degrees) * error
    return RetrainedTest(
        difference, difference - half, difference + half, level, t, degrees, p, n, error, design
    )


def _untested(difference: float, n: tuple[int, int], level: float, design: str, reason: str) -> RetrainedTest:
    return RetrainedTest(difference, None, None, level, None, None, None, n, None, design, reason)
