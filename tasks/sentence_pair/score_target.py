"""Scores of pairs: the squared error on the training scores' scale, and correlations.

Shape legend: N pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from elmo.errors import InputError
from tasks.pictures import picture
from tasks.sentence_pair.baselines import overlaps
from tasks.sentence_pair.examples import PairExamples
from tasks.sentence_pair.scores import pearson, spearman
from tasks.sentence_pair.target import PairTarget
from tasks.sources.pairs.source import PairExample
from tasks.supervised.reports import Table


class ScoreTarget(PairTarget):
    """A number, which the model predicts as deviations from the mean of the training scores.

    Args:
        mean: of the training scores.
        deviation: their standard deviation, above 0.
    """

    score_names = ("loss", "pearson", "spearman", "mean_squared_error")
    num_outputs = 1

    def __init__(self, *, mean: float, deviation: float) -> None:
        self.mean, self.deviation = mean, deviation

    @classmethod
    def of(cls, scores: Sequence[float]) -> ScoreTarget:
        """The target with the scale of some training scores; InputError if they are all the same."""
        mean, deviation = float(np.mean(scores)), float(np.std(scores))
        if not np.isfinite(deviation) or deviation <= 1e-12 * abs(mean):
            raise InputError(
                f"data: all training pairs have the score {scores[0]:g}; there is nothing to learn"
            )
        return cls(mean=mean, deviation=deviation)

    def gold(self, pairs: Sequence[PairExample]) -> Tensor:
        """(N,) float64, the scores as the data has them."""
        return torch.tensor([pair.score for pair in pairs], dtype=torch.float64)

    def facts(self, gold_N: Tensor, given: Sequence[str | float]) -> dict[str, float | str]:
        """The range of the scores."""
        return {"scores": f"{gold_N.min():g} to {gold_N.max():g}, mean {gold_N.mean():.3g}"}

    def loss(self, outputs_NK: Tensor, gold_N: Tensor) -> Tensor:
        """The mean squared error, in squared standard deviations of the training scores."""
        return F.mse_loss(outputs_NK[:, 0], ((gold_N - self.mean) / self.deviation).to(outputs_NK))

    def scores(self, outputs_NK: Tensor, gold_N: Tensor) -> dict[str, float]:
        """The loss; Pearson's and Spearman's correlations in percent; the mean squared error as it is."""
        predicted_N, gold = self.predicted(outputs_NK).numpy(), gold_N.numpy()
        return {
            "loss": float(self.loss(outputs_NK.double(), gold_N)),
            "pearson": 100 * pearson(predicted_N, gold),
            "spearman": 100 * spearman(predicted_N, gold),
            "mean_squared_error": float(np.square(predicted_N - gold).mean()),
        }

    def example_scores(self, outputs_NK: Tensor, gold_N: Tensor) -> dict[str, list[float]]:
        """The squared errors; a correlation is no mean over pairs."""
        return {"mean_squared_error": (self.predicted(outputs_NK) - gold_N).square().tolist()}

    def answer(self, outputs_K: Tensor) -> dict[str, Any]:
        """The `score`."""
        return {"score": float(self.predicted(outputs_K[None])[0])}

    def tables(self, outputs_NK: Tensor, gold_N: Tensor) -> dict[str, Table]:
        """None."""
        return {}

    def draw(self, path: Path, outputs_NK: Tensor, gold_N: Tensor) -> None:
        """`scores.png`: each pair as a point, its gold score and the predicted one."""
        with picture(path / "scores.png", size=(5, 5)) as figure:
            axes = figure.subplots()
            axes.scatter(gold_N.numpy(), self.predicted(outputs_NK).numpy(), s=6, alpha=0.4, linewidths=0)
            axes.axline((self.mean, self.mean), slope=1, color="grey", linewidth=0.8)
            axes.set(xlabel="gold score", ylabel="predicted score")

    def baselines(self, train: PairExamples, examples: PairExamples) -> dict[str, float]:
        """Correlations of the share of words in common."""
        overlap_N = overlaps(examples)
        gold_N = examples.gold_N.numpy()
        return {
            "overlap_pearson": 100 * pearson(overlap_N, gold_N),
            "overlap_spearman": 100 * spearman(overlap_N, gold_N),
        }

    def saved(self) -> dict[str, Any]:
        return {"mean": self.mean, "deviation": self.deviation}

    def predicted(self, outputs_NK: Tensor) -> Tensor:
        """(N,) float64, the predicted scores on the data's scale."""
        return outputs_NK[:, 0].double() * self.deviation + self.mean
