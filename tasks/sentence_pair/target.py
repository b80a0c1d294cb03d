"""The interface of what is predicted of a pair: a label or a score.

Shape legend: N pairs, K outputs of the model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from tasks.sentence_pair.examples import PairExamples
from tasks.sources.pairs.source import PairExample
from tasks.supervised.reports import Table


class PairTarget(ABC):
    """What is predicted: how it is learned, scored, reported and saved.

    Attributes:
        score_names: the names of the figures that `scores` returns.
        num_outputs: K.
    """

    score_names: ClassVar[Sequence[str]]
    num_outputs: int

    @abstractmethod
    def gold(self, pairs: Sequence[PairExample]) -> Tensor:
        """(N,) the gold values."""

    @abstractmethod
    def facts(self, gold_N: Tensor, given: Sequence[str | float]) -> dict[str, float | str]:
        """Facts for the user on a split's gold values, with what is odd about them."""

    @abstractmethod
    def loss(self, outputs_NK: Tensor, gold_N: Tensor) -> Tensor:
        """The mean loss, a scalar."""

    @abstractmethod
    def scores(self, outputs_NK: Tensor, gold_N: Tensor) -> dict[str, float]:
        """The figures of a split."""

    @abstractmethod
    def example_scores(self, outputs_NK: Tensor, gold_N: Tensor) -> dict[str, list[float]]:
        """A score of each pair by the name of a figure, which is their mean."""

    @abstractmethod
    def answer(self, outputs_K: Tensor) -> dict[str, Any]:
        """The prediction for a pair, in plain values."""

    @abstractmethod
    def tables(self, outputs_NK: Tensor, gold_N: Tensor) -> dict[str, Table]:
        """Larger results by name."""

    @abstractmethod
    def draw(self, path: Path, outputs_NK: Tensor, gold_N: Tensor) -> None:
        """Draw a picture of all predictions into a directory of plots."""

    @abstractmethod
    def baselines(self, train: PairExamples, examples: PairExamples) -> dict[str, float]:
        """The figures of simple rules that are learned from `train`, on other examples."""

    @abstractmethod
    def saved(self) -> dict[str, Any]:
        """The arguments that a saved model has in its config, in plain values."""
