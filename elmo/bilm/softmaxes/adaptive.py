"""The adaptive softmax: frequent words in a head, rare ones in clusters (Grave et al. 2017).

Shape legend: D = 2 directions, N tokens, P vector size, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elmo.bilm.products import padded
from elmo.bilm.softmaxes.cross_entropy import log_probabilities, summed_loss
from elmo.bilm.softmaxes.softmax import Plan, Rows, Softmax
from elmo.errors import InputError
from elmo.registry import REGISTRY
from elmo.values import Count, Range

DEFAULT_CUTOFFS = (2000, 10_000)

Scorer = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]  # (vectors, weight, bias, targets) -> score


@REGISTRY.register("softmax", "adaptive")
class AdaptiveSoftmax(Softmax):
    """An exact, normalised distribution over the vocabulary, cheap because most tokens are in the head.

    The head is a softmax over the frequent words and one class per cluster. A rare word's probability is its
    cluster's probability times that of the word in the cluster's own softmax, whose input is projected to a
    smaller size. The vocabulary must be in descending order of count.

    Args:
        input_size: P, size of the vectors.
        num_types: V, number of words of the vocabulary, markers included.
        cutoffs: the ids at which the clusters of rare words begin; ids beyond V are ignored. None: 2,000 and
            10,000; a vocabulary of 2,000 words or fewer then has no cluster, and this is a full softmax.
        shrink: each cluster's vectors are this many times smaller than those of the previous cluster.
    """

    def __init__(
        self,
        *,
        input_size: int,
        num_types: int,
        cutoffs: Sequence[Count] | None,
        shrink: Annotated[float, Range(1, 10**6)],
    ) -> None:
        super().__init__()
        given = DEFAULT_CUTOFFS if cutoffs is None else cutoffs
        used = [cutoff for cutoff in given if cutoff < num_types]
        if (cutoffs is not None and not used) or sorted(set(used)) != used:
            raise InputError(
                f"softmax.cutoffs: expected growing ids, the first below {num_types} words, got"
                f" {list(given)}; null fits them to the vocabulary"
            )
        if cutoffs is None and len(used) < len(given):
            self.notice = (
                f"adaptive with {len(used) or 'no'} of {len(given)} clusters of rare words, as the vocabulary"
                f" has {num_types:,} words"
            )
        self.bounds = [*used, num_types]
        self.head_weight = _random(self.bounds[0] + len(used), input_size)
        self.head_bias = nn.Parameter(torch.zeros(len(self.head_weight)))
        self.projections = nn.ParameterList()
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for index, (start, stop) in enumerate(zip(used, self.bounds[1:], strict=True), start=1):
            size = max(1, int(input_size // shrink**index))
            self.projections.append(_random(size, input_size))
            self.weights.append(_random(stop - start, size))
            self.biases.append(nn.Parameter(torch.zeros(stop - start)))

    def plan(
        self, targets_DN: np.ndarray, rng: np.random.Generator, *, all_targets_DM: np.ndarray | None = None
    ) -> Plan:
        """The tokens of the head, which are all, and of each cluster, with the classes to predict there."""
        targets = targets_DN.astype(np.int64).ravel()
        cluster_N = np.searchsorted(self.bounds[:-1], targets, side="right")
        classes = np.where(cluster_N == 0, targets, self.bounds[0] + cluster_N - 1)
        plan = {"head": torch.from_numpy(classes)}
        for index, start in enumerate(self.bounds[:-1]):
            tokens = np.flatnonzero(cluster_N == index + 1)
            plan[f"tokens_{index}"] = torch.from_numpy(tokens)
            plan[f"classes_{index}"] = torch.from_numpy(targets[tokens] - start)
        return plan

    def forward(self, vectors_DNP: Tensor, plan: Plan) -> Tensor:
        """The mean loss in nats of all tokens of both directions: a scalar."""
        vectors = vectors_DNP.flatten(0, 1)
        head, *clusters = self._scores(vectors, plan, summed_loss)
        return (head + sum(clusters)) / len(vectors)

    @torch.no_grad()
    def log_probabilities(self, vectors_DNP: Tensor, targets_DN: Tensor) -> Tensor:
        """(D, N) natural logarithms of the targets' probabilities."""
        vectors = vectors_DNP.flatten(0, 1)
        plan = self.plan(targets_DN.cpu().numpy(), np.random.default_rng(0))
        plan = {name: tensor.to(vectors.device) for name, tensor in plan.items()}
        total, *clusters = self._scores(vectors, plan, log_probabilities)
        for index, logs in enumerate(clusters):
            total.index_add_(0, plan[f"tokens_{index}"], logs)
        return total.view(targets_DN.shape)

    def rows(self) -> list[Rows]:
        """The words of the head, and of each cluster."""
        head = Rows(0, self.bounds[0], self.head_weight, self.head_bias)
        parts = zip(self.bounds, self.bounds[1:], self.weights, self.biases, self.projections, strict=False)
        return [head, *(Rows(*part) for part in parts)]

    def _scores(self, vectors_NP: Tensor, plan: Plan, score: Scorer) -> list[Tensor]:
        """The results of `score` for the head's tokens and for those of each cluster."""
        scores = [score(vectors_NP, self.head_weight, self.head_bias, plan["head"])]
        for index, weight in enumerate(self.weights):
            vectors = vectors_NP.index_select(0, plan[f"tokens_{index}"])
            if vectors.device.type == "cpu":  # see `products.rounded`
                small = F.linear(padded(vectors), self.projections[index])[: len(vectors)]
            else:
                small = F.linear(vectors, self.projections[index])
            scores.append(score(small, weight, self.biases[index], plan[f"classes_{index}"]))
        return scores


def _random(num_rows: int, size: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(num_rows, size) / math.sqrt(size))
