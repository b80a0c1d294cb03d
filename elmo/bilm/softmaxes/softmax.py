"""The interface of a softmax over the vocabulary.

Shape legend: D = 2 directions, N tokens, P vector size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Softmax(nn.Module, ABC):
    """A distribution over the vocabulary for each vector of the top layer; both directions share its weights.

    The program, not the config, passes `input_size` (P) and `num_types` (words of the vocabulary, markers
    included).

    Attributes:
        loss_name: metric name of the training loss; a sampled loss has another, as its exp is not a
            perplexity.
        has_sparse_gradient: whether its gradients are sparse, which not every optimizer accepts.
    """

    loss_name: str = "train/loss"
    has_sparse_gradient: bool = False

    @abstractmethod
    def forward(self, vectors_DNP: Tensor, targets_DN: Tensor) -> Tensor:
        """The mean training loss of all tokens of both directions, in nats: a scalar."""

    @abstractmethod
    def log_probabilities(self, vectors_DNP: Tensor, targets_DN: Tensor) -> Tensor:
        """(D, N) natural logarithms of the targets' probabilities under the exact, full distribution."""
