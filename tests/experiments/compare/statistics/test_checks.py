"""The arrays that the statistics refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest

from elmo.errors import InputError
from experiments.compare.statistics.checks import finite, package
from experiments.compare.statistics.correction import holm
from experiments.compare.statistics.intervals import t_interval
from experiments.compare.statistics.new_examples import compare_on_examples
from experiments.compare.statistics.retrained import compare_independent, compare_paired


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, math.nan], r"scores: value \[1\] is nan; leave out the runs without a score"),
        ([math.inf], r"scores: value \[0\] is inf"),
        ([], "scores: there is no value"),
        (3.0, "scores: an array of 1 dimensions expected, got 0"),
        ([1.0, None], r"scores: value \[1\] is nan"),
        (["a"], "scores: numbers expected"),
    ],
)
def test_a_value_that_is_no_score_is_refused_in_a_line(values: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        finite(values, "scores")  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_no_statistic_takes_a_missing_score() -> None:
    bad = [80.0, math.nan]
    for call in (
        lambda: t_interval(bad),
        lambda: compare_independent([1.0, 2.0], bad),
        lambda: compare_paired(bad, [1.0, 2.0]),
        lambda: compare_on_examples([bad], [bad]),
        lambda: holm([0.1, math.nan]),
    ):
        with pytest.raises(InputError, match="nan"):
            call()


def test_a_missing_package_is_told_with_the_command_that_installs_it() -> None:
    with pytest.raises(InputError, match=r'need no_such_package: pip install -e "\.\[compare\]"'):
        package("no_such_package.stats")
    assert package("scipy.stats").norm.cdf(0.0) == 0.5


def test_integers_and_flags_are_scores_too() -> None:
    assert finite(np.array([True, False]), "flags").tolist() == [1.0, 0.0]
