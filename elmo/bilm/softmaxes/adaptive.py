"""The adaptive softmax: frequent words in a head, rare ones in clusters (Grave et al. 2017).

Shape legend: D = 2 directions, N tokens, P vector size, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elmo.bilm.softmaxes.cross_entropy import log_probabilities, summed_loss
from elmo.errors import InputError
from elmo.registry import REGISTRY

Scorer = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]  # of vectors, weight, bias and targets


@REGISTRY.register("softmax", "adaptive")
class AdaptiveSoftmax(nn.Module):
    """An exact, normalised distribution over the vocabulary, cheap because most tokens are in the head.

    The head scores the frequent words and one class per cluster; a cluster's own softmax, over vectors
    projected to a smaller size, shares out its class. The vocabulary must be in descending order of count.

    Args:
        input_size: P, of the vectors.
        num_types: V, words of the vocabulary with its markers.
        cutoffs: the ids at which the clusters of rare words begin; those beyond V are dropped.
        shrink: each cluster's vectors are this many times smaller than the ones of the cluster before.
    """

    def __init__(self, *, input_size: int, num_types: int, cutoffs: Sequence[int], shrink: float) -> None:
        super().__init__()
        used = [cutoff for cutoff in cutoffs if cutoff < num_types]
        if not used or sorted(set(used)) != used or used[0] < 1 or shrink < 1:
            raise InputError(
                f"softmax.cutoffs, softmax.shrink: expected growing ids, the first below {num_types}"
                f" words, and at least 1, got {list(cutoffs)} and {shrink}; softmax=full needs neither"
            )
        self.bounds = [*used, num_types]
        self.head_weight = _random(used[0] + len(used), input_size)
        self.head_bias = nn.Parameter(torch.zeros(len(self.head_weight)))
        self.projections = nn.ParameterList()
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for index, (start, stop) in enumerate(zip(used, self.bounds[1:], strict=True), start=1):
            size = max(1, int(input_size // shrink**index))
            self.projections.append(_random(size, input_size))
            self.weights.append(_random(stop - start, size))
            self.biases.append(nn.Parameter(torch.zeros(stop - start)))

    def forward(self, vectors_DNP: Tensor, targets_DN: Tensor) -> Tensor:
        """The mean loss in nats of all tokens of both directions: a scalar."""
        vectors, targets = vectors_DNP.flatten(0, 1), targets_DN.flatten()
        head, *clusters = (loss for _, loss in self._scores(vectors, targets, summed_loss))
        return (head + sum(clusters)) / len(targets)

    @torch.no_grad()
    def log_probabilities(self, vectors_DNP: Tensor, targets_DN: Tensor) -> Tensor:
        """(D, N) natural logarithms of the targets' probabilities."""
        vectors, targets = vectors_DNP.flatten(0, 1), targets_DN.flatten()
        total = vectors.new_zeros(len(targets))
        for rows, logs in self._scores(vectors, targets, log_probabilities):
            total[rows] += logs
        return total.view(targets_DN.shape)

    def _scores(self, vectors_NP: Tensor, targets_N: Tensor, score: Scorer) -> list[tuple[Tensor, Tensor]]:
        """For the head and for each cluster, the tokens that take part in it and their score there."""
        shortlist = self.bounds[0]
        cluster_N = torch.bucketize(targets_N, targets_N.new_tensor(self.bounds[:-1]), right=True)
        head_targets = torch.where(cluster_N == 0, targets_N, shortlist + cluster_N - 1)
        rows = torch.arange(len(targets_N), device=targets_N.device)
        scores = [(rows, score(vectors_NP, self.head_weight, self.head_bias, head_targets))]
        for index, weight in enumerate(self.weights):
            rows = (cluster_N == index + 1).nonzero().squeeze(1)
            small = F.linear(vectors_NP[rows], self.projections[index])
            scores.append(
                (rows, score(small, weight, self.biases[index], targets_N[rows] - self.bounds[index]))
            )
        return scores


def _random(num_rows: int, size: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(num_rows, size) / math.sqrt(size))
