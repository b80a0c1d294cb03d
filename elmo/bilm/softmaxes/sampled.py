"""The original's sampled softmax: each target against candidates from a log-uniform distribution (Jean et al.
2015).

Shape legend: D = 2 directions, N tokens, P vector size, V vocabulary, S candidates, R rows used.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elmo.bilm.softmaxes.adaptive import log_probabilities
from elmo.bilm.softmaxes.softmax import Rows, Softmax
from elmo.errors import InputError
from elmo.registry import REGISTRY
from elmo.values import Count

DEFAULT_SAMPLES = 8192  # the original's


@REGISTRY.register("softmax", "sampled")
class SampledSoftmax(Softmax):
    """Trains a full softmax on few of its rows per batch; `log_probabilities` uses the full softmax.

    Candidates are distinct and drawn from P(k) = log((k + 2) / (k + 1)) / log(V + 1), so the vocabulary must
    be in descending order of count. Each direction has its own candidates. Random numbers come from torch's
    default generator.

    Args:
        input_size: P, size of the vectors.
        num_types: V, number of words of the vocabulary, markers included.
        num_samples: number of candidates per direction and batch, less than V. None: 8,192, but at most half
            of V.
        sparse: sparse gradients, of the used rows only; for optimizers that accept them (Adagrad, SGD).
    """

    loss_name = "train/sampled_loss"

    def __init__(self, *, input_size: int, num_types: int, num_samples: Count | None, sparse: bool) -> None:
        super().__init__()
        if num_samples is None:
            num_samples = min(DEFAULT_SAMPLES, num_types // 2)
            if num_samples < DEFAULT_SAMPLES:
                self.notice = (
                    f"{num_samples:,} samples, half of the vocabulary, instead of {DEFAULT_SAMPLES:,}"
                )
        if num_samples >= num_types:
            raise InputError(
                f"softmax.num_samples: expected fewer than the vocabulary's {num_types} words,"
                f" got {num_samples}; null fits it to the vocabulary"
            )
        self.weight = nn.Parameter(torch.empty(num_types, input_size))
        self.bias = nn.Parameter(torch.zeros(num_types, 1))
        nn.init.normal_(self.weight, std=1 / math.sqrt(input_size))
        self.num_samples = num_samples
        self.sparse = self.has_sparse_gradient = sparse

    def forward(self, vectors_DNP: Tensor, targets_DN: Tensor) -> Tensor:
        """The mean sampled loss of all tokens of both directions, in nats: a scalar."""
        num_types = len(self.weight)
        samples, tries = zip(
            *(log_uniform_candidates(num_types, self.num_samples) for _ in targets_DN), strict=True
        )
        samples_DS = torch.stack(samples).to(targets_DN.device)
        rows, local = torch.unique(torch.cat([targets_DN, samples_DS], dim=1), return_inverse=True)
        weight_RP = F.embedding(rows, self.weight, sparse=self.sparse)
        bias_R = F.embedding(rows, self.bias, sparse=self.sparse).squeeze(1)
        targets, candidates = local.split([targets_DN.shape[1], self.num_samples], dim=1)
        losses = []
        for direction, vectors in enumerate(vectors_DNP):
            offset_R = bias_R - log_expected_count(rows, tries[direction], num_types)
            target, candidate = targets[direction], candidates[direction]
            true_N = (vectors * weight_RP[target]).sum(dim=1) + offset_R[target]
            false_NS = F.linear(vectors, weight_RP[candidate]) + offset_R[candidate]
            false_NS = false_NS.masked_fill(target[:, None] == candidate, -torch.inf)
            losses.append(torch.logaddexp(true_N, false_NS.logsumexp(dim=1)) - true_N)
        return torch.stack(losses).mean()

    def log_probabilities(self, vectors_DNP: Tensor, targets_DN: Tensor) -> Tensor:
        """(D, N) natural logarithms of the targets' probabilities under the full softmax."""
        vectors, targets = vectors_DNP.flatten(0, 1), targets_DN.flatten()
        return log_probabilities(vectors, self.weight, self.bias.squeeze(1), targets).view(targets_DN.shape)

    def rows(self) -> list[Rows]:
        """All words."""
        return [Rows(0, len(self.weight), self.weight, self.bias.squeeze(1))]


def log_uniform_candidates(num_types: int, num_samples: int) -> tuple[Tensor, int]:
    """(S,) distinct ids in the order of their first draw, and the number of draws until S were found."""
    draws = np.empty(0, dtype=np.int64)
    while True:
        uniform = torch.rand(2 * num_samples + len(draws), dtype=torch.float64).numpy()
        draws = np.append(
            draws, np.minimum(np.exp(uniform * math.log1p(num_types)).astype(np.int64) - 1, num_types - 1)
        )
        first = np.sort(np.unique(draws, return_index=True)[1])
        if len(first) >= num_samples:
            first = first[:num_samples]
            return torch.from_numpy(draws[first]), int(first[-1]) + 1


def log_expected_count(ids: Tensor, tries: int, num_types: int) -> Tensor:
    """log Q of each id; Q = 1 - (1 - P)^tries is the probability that `tries` draws contain it.

    Computed as -expm1(tries log1p(-P)): log1p and expm1 are exact for small values, so that float32, the only
    float type of some devices, is enough.
    """
    probability = torch.log1p(1 / (ids.float() + 1)) / math.log1p(num_types)
    return torch.log(-torch.expm1(tries * torch.log1p(-probability)))
