"""Intervals of a model's scores, and what may be claimed of their differences.

What they say holds for new test sentences, or documents, of the same kind. Shape legend: R repetitions,
U units of the test text, S scores of all views, B resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from experiments.compare.comparison import Evidence, Interval
from experiments.compare.statistics.correction import holm
from experiments.compare.statistics.intervals import LEVEL, NUM_RESAMPLES, percentiles, resampled_sums
from experiments.compare.statistics.new_examples import compare_on_examples
from experiments.probe.kinds.probe import Score, View


@dataclass(frozen=True)
class Difference:
    """A score of one view minus that of another one of the same model."""

    score: str
    first: str
    second: str
    evidence: Evidence


@dataclass(frozen=True, eq=False)
class ModelFindings:
    """What was found for a model.

    Attributes:
        model: as it was given.
        fingerprint: of its weights.
        views: the layers from below, what is made of several, and the baseline.
        intervals: of each score, by view and score: the percentiles of a bootstrap over units.
        differences: of the compared scores, between all pairs of views that have them.
    """

    model: str
    fingerprint: str
    views: list[View]
    intervals: dict[tuple[str, str], Interval]
    differences: list[Difference]


def find(
    model: str, fingerprint: str, views: Sequence[View], *, compared: Sequence[str], seed: int
) -> ModelFindings:
    """The intervals and differences of a model's scores, all over the same resamples.

    Args:
        model, fingerprint: see `ModelFindings`.
        views: with scores of the same units.
        compared: the names of the scores whose differences are tested.
        seed: of the resamples and of random permutations.
    """
    scores = {(view.name, name): score for view in views for name, score in view.scores.items()}
    resampled = dict(zip(scores, _resampled(list(scores.values()), seed=seed).T, strict=True))
    return ModelFindings(
        model,
        fingerprint,
        list(views),
        {key: _interval(scores[key].value, resampled[key]) for key in scores},
        [
            difference
            for name in compared
            for difference in _differences(
                name, [view.name for view in views if name in view.scores], scores, resampled, seed=seed
            )
        ],
    )


def _resampled(scores: Sequence[Score], *, seed: int) -> np.ndarray:
    """(B, S) the scores of units that are drawn with replacement, means over the repetitions."""
    hits_US = np.stack([score.hits_RU.mean(axis=0) for score in scores], axis=1)
    totals_US = np.stack([score.totals_U for score in scores], axis=1)
    sums_BS = resampled_sums(np.hstack([hits_US, totals_US]), NUM_RESAMPLES, seed=seed)
    with np.errstate(invalid="ignore"):  # a resample may lack all words of a rare kind
        values_BS: np.ndarray = 100 * sums_BS[:, : len(scores)] / sums_BS[:, len(scores) :]
    return values_BS


def _interval(value: float, resampled_B: np.ndarray) -> Interval:
    known = resampled_B[np.isfinite(resampled_B)]
    return Interval(value, *percentiles(known, LEVEL)) if len(known) else Interval(value, None, None)


def _differences(
    name: str,
    views: Sequence[str],
    scores: dict[tuple[str, str], Score],
    resampled: dict[tuple[str, str], np.ndarray],
    *,
    seed: int,
) -> list[Difference]:
    """The differences of one score between all pairs of views, with Holm's correction over these."""
    pairs = list(combinations(views, 2))
    tests = [
        compare_on_examples(scores[a, name].hits_RU, scores[b, name].hits_RU, seed=seed) for a, b in pairs
    ]
    adjusted = holm([test.p for test in tests])
    return [
        Difference(
            name,
            a,
            b,
            Evidence(
                _interval(
                    scores[a, name].value - scores[b, name].value, resampled[a, name] - resampled[b, name]
                ),
                test.p,
                p,
                test.design,
            ),
        )
        for (a, b), test, p in zip(pairs, tests, adjusted, strict=True)
    ]
