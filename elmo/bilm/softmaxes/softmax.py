"""The interface of a softmax over the vocabulary, and taking over the rows of another one.

Shape legend: D = 2 directions, N tokens, P vector size, R rows of a table, W words of two softmaxes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Rows(NamedTuple):
    """The parameters of consecutive words, which can be copied into.

    Attributes:
        start, stop: ids of the first word, and of the first one behind them.
        weight: (R, size); after the words, the rows of the classes that rarer words are in, if there are any.
        bias: (R,).
        projection: (size, P) of the vectors before they are multiplied by the weight; None: size is P.
    """

    start: int
    stop: int
    weight: Tensor
    bias: Tensor
    projection: Tensor | None = None


class Softmax(nn.Module, ABC):
    """A distribution over the vocabulary for each vector of the top layer; both directions share its weights.

    The program, not the config, passes `input_size` (P) and `num_types` (words of the vocabulary, markers
    included).

    Attributes:
        loss_name: metric name of the training loss; a sampled loss has another, as its exp is not a
            perplexity.
        notice: how a preset was fitted to the vocabulary, for the user; None if it was not.
        has_sparse_gradient: whether its gradients are sparse, which not every optimizer accepts.
    """

    loss_name: str = "train/loss"
    notice: str | None = None
    has_sparse_gradient: bool = False

    @abstractmethod
    def forward(self, vectors_DNP: Tensor, targets_DN: Tensor) -> Tensor:
        """The mean training loss of all tokens of both directions, in nats: a scalar."""

    @abstractmethod
    def log_probabilities(self, vectors_DNP: Tensor, targets_DN: Tensor) -> Tensor:
        """(D, N) natural logarithms of the targets' probabilities under the exact, full distribution."""

    def rows(self) -> list[Rows]:
        """Its rows, those of the most frequent words first; [] if another softmax cannot take them over."""
        return []

    @torch.no_grad()
    def take_rows(self, other: Softmax, own_ids_W: Tensor, other_ids_W: Tensor) -> int:
        """Copy the rows of words that another softmax has too; returns the number of words copied.

        Frequent words are copied between any two softmaxes of equal vector size. The clusters of two adaptive
        softmaxes correspond by their order; a word that is in another cluster there keeps its own row.

        Args:
            own_ids_W, other_ids_W: ids of the same words here and there, without repetition.
        """
        num_copied = 0
        for own, theirs in zip(self.rows(), other.rows(), strict=False):
            if own.weight.shape[1] != theirs.weight.shape[1]:
                continue
            if own.projection is not None and theirs.projection is not None:
                own.projection.copy_(theirs.projection)
            here = (own_ids_W >= own.start) & (own_ids_W < own.stop)
            both = here & (other_ids_W >= theirs.start) & (other_ids_W < theirs.stop)
            pairs = [own_ids_W[both] - own.start, other_ids_W[both] - theirs.start]
            num_classes = min(len(part.weight) - (part.stop - part.start) for part in (own, theirs))
            classes = torch.arange(num_classes)
            own_rows = torch.cat([pairs[0], classes + (own.stop - own.start)])
            their_rows = torch.cat([pairs[1], classes + (theirs.stop - theirs.start)])
            own.weight[own_rows] = theirs.weight[their_rows]
            own.bias[own_rows] = theirs.bias[their_rows]
            num_copied += len(pairs[0])
        return num_copied
