"""The plain softmax over the whole vocabulary, computed in pieces.

Shape legend: D = 2 directions, N tokens, P vector size, V vocabulary.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from elmo.bilm.softmaxes.adaptive import log_probabilities, summed_loss
from elmo.bilm.softmaxes.softmax import Rows, Softmax
from elmo.registry import REGISTRY


@REGISTRY.register("softmax", "full")
class FullSoftmax(Softmax):
    """Cross-entropy over the whole vocabulary, without holding all tokens x vocabulary scores in memory.

    Args:
        input_size: P, size of the vectors.
        num_types: V, number of words of the vocabulary, markers included.
    """

    def __init__(self, *, input_size: int, num_types: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_types, input_size))
        self.bias = nn.Parameter(torch.zeros(num_types))
        nn.init.normal_(self.weight, std=1 / math.sqrt(input_size))

    def forward(self, vectors_DNP: Tensor, targets_DN: Tensor) -> Tensor:
        """The mean loss in nats of all tokens of both directions: a scalar."""
        vectors, targets = vectors_DNP.flatten(0, 1), targets_DN.flatten()
        return summed_loss(vectors, self.weight, self.bias, targets) / len(targets)

    def log_probabilities(self, vectors_DNP: Tensor, targets_DN: Tensor) -> Tensor:
        """(D, N) natural logarithms of the targets' probabilities."""
        vectors, targets = vectors_DNP.flatten(0, 1), targets_DN.flatten()
        return log_probabilities(vectors, self.weight, self.bias, targets).view(targets_DN.shape)

    def rows(self) -> list[Rows]:
        """All words."""
        return [Rows(0, len(self.weight), self.weight, self.bias)]
