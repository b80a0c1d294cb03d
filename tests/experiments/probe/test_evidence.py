"""What is claimed of a probe's scores: intervals over units, and tests of pairs of views."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.probe.evidence import ModelFindings, find
from experiments.probe.kinds.probe import Score, View

NUM_UNITS = 400


def score(share: float, *, seed: int, repetitions: int = 1) -> Score:
    """Ten words in each unit, of which a share is right."""
    hits = np.random.default_rng(seed).binomial(10, share, size=(repetitions, NUM_UNITS))
    return Score(hits, np.full(NUM_UNITS, 10))


def findings(*views: View) -> ModelFindings:
    return find("runs/one", "f00", views, compared=["accuracy"], seed=1)


def test_a_difference_is_found_where_there_is_one_and_not_where_there_is_none() -> None:
    same = score(0.6, seed=2)
    found = findings(
        View("layer 0", 0, {"accuracy": score(0.6, seed=1)}),
        View("layer 1", 1, {"accuracy": score(0.8, seed=3, repetitions=3)}),
        View("usual", None, {"accuracy": same}, is_baseline=True),
    )
    pairs = {(each.first, each.second): each.evidence for each in found.differences}
    assert list(pairs) == [("layer 0", "layer 1"), ("layer 0", "usual"), ("layer 1", "usual")]
    better = pairs["layer 0", "layer 1"]
    assert better.is_found and better.difference.estimate == pytest.approx(-20, abs=2)
    assert better.difference.low is not None and better.difference.high is not None
    assert better.difference.low < -20 < better.difference.high < -15
    none = pairs["layer 0", "usual"]
    assert not none.is_found and none.p is not None and none.adjusted_p is not None
    assert none.adjusted_p >= none.p


def test_the_interval_is_as_wide_as_the_formula_of_independent_units_says() -> None:
    found = findings(View("layer 0", 0, {"accuracy": score(0.6, seed=1)}))
    interval = found.intervals["layer 0", "accuracy"]
    assert interval.low is not None and interval.high is not None
    half = 1.96 * 100 * np.sqrt(0.6 * 0.4 / (10 * NUM_UNITS))
    assert (interval.high - interval.low) / 2 == pytest.approx(half, rel=0.1)
    assert found.differences == []  # a model with one layer, and nothing beside it


def test_a_kind_of_word_that_most_resamples_lack_has_an_interval_all_the_same() -> None:
    hits, totals = np.zeros((1, NUM_UNITS)), np.zeros(NUM_UNITS)
    hits[0, 0] = totals[0] = 1
    found = findings(View("layer 0", 0, {"accuracy": score(0.6, seed=1), "X": Score(hits, totals)}))
    assert found.intervals["layer 0", "X"] == (100, 100, 100)
