"""The plain softmax over the whole vocabulary, computed in pieces.

Shape legend: D = 2 directions, N tokens, P vector size, V vocabulary.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from elmo.bilm.softmaxes.cross_entropy import log_probabilities, summed_loss
from elmo.bilm.softmaxes.softmax import Plan, Rows, Softmax
from elmo.registry import REGISTRY


@REGISTRY.register("softmax", "full")
class FullSoftmax(Softmax):
    """Cross-entropy over the whole vocabulary, without holding all tokens x vocabulary scores in memory.

    Args:
        input_size: P, size of the vectors.
        num_types: V, number of words of the vocabulary, markers included.
    """

    can_be_static = is_static = True

    def __init__(self, *, input_size: int, num_types: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_types, input_size))
        self.bias = nn.Parameter(torch.zeros(num_types))
        nn.init.normal_(self.weight, std=1 / math.sqrt(input_size))

    def plan(
        self, targets_DN: np.ndarray, rng: np.random.Generator, *, all_targets_DM: np.ndarray | None = None
    ) -> Plan:
        """The targets of the tokens of both directions."""
        return {"targets": torch.from_numpy(targets_DN.astype(np.int64).ravel())}

    def forward(self, vectors_DNP: Tensor, plan: Plan) -> Tensor:
        """The mean loss in nats of all tokens of both directions: a scalar."""
        vectors, targets = vectors_DNP.flatten(0, 1), plan["targets"]
        return summed_loss(vectors, self.weight, self.bias, targets) / len(targets)

    def log_probabilities(self, vectors_DNP: Tensor, targets_DN: Tensor) -> Tensor:
        """(D, N) natural logarithms of the targets' probabilities."""
        vectors, targets = vectors_DNP.flatten(0, 1), targets_DN.flatten()
        return log_probabilities(vectors, self.weight, self.bias, targets).view(targets_DN.shape)

    def rows(self) -> list[Rows]:
        """All words."""
        return [Rows(0, len(self.weight), self.weight, self.bias)]
