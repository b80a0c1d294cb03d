"""Correlations of scores against formulas worked in other ways, also where those are not defined."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tasks.sentence_pair.score_target import ScoreTarget
from tasks.sentence_pair.scores import pearson, ranks, spearman


def samples() -> list[tuple[np.ndarray, np.ndarray]]:
    """Predicted and gold scores, the gold ones with many equal values, as people give them."""
    found = []
    for seed in range(5):
        generator = np.random.default_rng(seed)
        gold = generator.integers(10, 50, size=200) / 10
        found.append((gold + generator.normal(size=200), gold))
    return found


def test_correlations_equal_their_definitions() -> None:
    for predicted, gold in samples():
        z_predicted, z_gold = ((each - each.mean()) / each.std() for each in (predicted, gold))
        assert pearson(predicted, gold) == pytest.approx((z_predicted * z_gold).mean(), abs=1e-12)
        counted = [
            [(each < value).sum() + ((each == value).sum() + 1) / 2 for value in each]
            for each in (predicted, gold)
        ]
        assert ranks(gold).tolist() == counted[1]
        assert spearman(predicted, gold) == pytest.approx(np.corrcoef(*counted)[0, 1], abs=1e-12)


def test_a_constant_prediction_has_no_correlation_rather_than_nan() -> None:
    gold = np.array([1.0, 2.0, 4.0])
    assert pearson(np.full(3, 0.1), gold) == 0.0
    assert spearman(np.full(3, 0.1), gold) == 0.0
    assert pearson(gold * -3 + 7, gold) == pytest.approx(-1.0)


def test_scores_are_learned_on_the_scale_of_training_and_told_on_that_of_the_data() -> None:
    target = ScoreTarget.of([1.0, 2.0, 3.0, 4.0])
    outputs = torch.tensor([[0.0], [1.0], [-1.0]])
    gold = torch.tensor([2.5, 2.5, 2.5], dtype=torch.float64)
    figures = target.scores(outputs, gold)
    deviation = np.std([1.0, 2.0, 3.0, 4.0])
    assert figures["loss"] == pytest.approx(2 / 3)
    assert figures["mean_squared_error"] == pytest.approx(2 / 3 * deviation**2)
    assert target.answer(outputs[1])["score"] == pytest.approx(2.5 + deviation)
    each = target.example_scores(outputs, gold)["mean_squared_error"]
    assert np.mean(each) == pytest.approx(figures["mean_squared_error"])
