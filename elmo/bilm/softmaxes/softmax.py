"""What every softmax over the vocabulary can do, whatever it is trained with.

Shape legend: D = 2 directions, N tokens, P vector size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Softmax(nn.Module, ABC):
    """A distribution over the vocabulary for each vector of the top layer, the same for both directions.

    Every softmax takes `input_size` (P) and `num_types` (words of the vocabulary with its markers) from code.

    Attributes:
        loss_name: the metric that the training loss is; a sampled loss is no perplexity's.
        has_sparse_gradient: whether gradients hold the rows used only, which not every optimizer takes.
    """

    loss_name: str = "train/loss"
    has_sparse_gradient: bool = False

    @abstractmethod
    def forward(self, vectors_DNP: Tensor, targets_DN: Tensor) -> Tensor:
        """The mean training loss of all tokens of both directions, in nats: a scalar."""

    @abstractmethod
    def log_probabilities(self, vectors_DNP: Tensor, targets_DN: Tensor) -> Tensor:
        """(D, N) exact natural logarithms of the targets' probabilities."""
