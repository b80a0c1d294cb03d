"""The original's sampled softmax: each target against candidates from a log-uniform distribution (Jean et al.
2015).

Shape legend: D = 2 directions, N tokens, P vector size, V vocabulary, S candidates, R rows used.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elmo.bilm.softmaxes.cross_entropy import log_probabilities
from elmo.bilm.softmaxes.softmax import Plan, Rows, Softmax
from elmo.errors import InputError
from elmo.registry import REGISTRY
from elmo.values import Count

DEFAULT_SAMPLES = 8192  # the original's


@REGISTRY.register("softmax", "sampled")
class SampledSoftmax(Softmax):
    """Trains a full softmax on few of its rows per batch; `log_probabilities` uses the full softmax.

    Candidates are distinct and drawn from P(k) = log((k + 2) / (k + 1)) / log(V + 1), so the vocabulary must
    be in descending order of count. Each direction has its own candidates.

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

    def plan(
        self, targets_DN: np.ndarray, rng: np.random.Generator, *, all_targets_DM: np.ndarray | None = None
    ) -> Plan:
        """The candidates, and the rows of all words that are used, in ascending order.

        `targets` and `candidates` are places in `rows`; `log_counts` are how often each direction's draws are
        expected to contain the rows' words; `hits` says which candidate a target is itself, or S for none.
        """
        num_types, all_targets = len(self.weight), targets_DN if all_targets_DM is None else all_targets_DM
        drawn = [log_uniform_candidates(num_types, self.num_samples, rng) for _ in targets_DN]
        samples_DS = np.stack([ids for ids, _ in drawn])
        rows_R = np.unique(np.concatenate([all_targets.ravel(), samples_DS.ravel()]))
        counts_DR = np.stack([log_expected_count(rows_R, tries, num_types) for _, tries in drawn])
        hits_DN = np.stack([_places(*pair) for pair in zip(targets_DN, samples_DS, strict=True)])
        return {
            "rows": torch.from_numpy(rows_R.astype(np.int64)),
            "targets": torch.from_numpy(np.searchsorted(rows_R, targets_DN)),
            "candidates": torch.from_numpy(np.searchsorted(rows_R, samples_DS)),
            "hits": torch.from_numpy(hits_DN),
            "log_counts": torch.from_numpy(counts_DR.astype(np.float32)),
        }

    def forward(self, vectors_DNP: Tensor, plan: Plan) -> Tensor:
        """The mean sampled loss of all tokens of both directions, in nats: a scalar."""
        weight_RP = _TakeRows.apply(self.weight, plan["rows"], self.sparse)
        bias_R = _TakeRows.apply(self.bias, plan["rows"], self.sparse).squeeze(1)
        losses = []
        for direction, vectors in enumerate(vectors_DNP):
            offset_R = bias_R - plan["log_counts"][direction]
            target, candidate = plan["targets"][direction], plan["candidates"][direction]
            true_N = (vectors * weight_RP[target]).sum(dim=1) + offset_R[target]
            false_NS = F.linear(vectors, weight_RP[candidate], offset_R[candidate])
            is_hit_NS = plan["hits"][direction][:, None] == torch.arange(
                len(candidate), device=vectors.device
            )
            false_NS = false_NS.masked_fill(is_hit_NS, -torch.inf)
            losses.append(torch.logaddexp(true_N, false_NS.logsumexp(dim=1)) - true_N)
        return torch.stack(losses).mean()

    def log_probabilities(self, vectors_DNP: Tensor, targets_DN: Tensor) -> Tensor:
        """(D, N) natural logarithms of the targets' probabilities under the full softmax."""
        vectors, targets = vectors_DNP.flatten(0, 1), targets_DN.flatten()
        return log_probabilities(vectors, self.weight, self.bias.squeeze(1), targets).view(targets_DN.shape)

    def rows(self) -> list[Rows]:
        """All words."""
        return [Rows(0, len(self.weight), self.weight, self.bias.squeeze(1))]


class _TakeRows(torch.autograd.Function):
    """Distinct rows of a table in ascending order; with `sparse`, the table's gradient has only these."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor, sparse: bool) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(rows)
        ctx.shape, ctx.sparse = table.shape, sparse
        return table.index_select(0, rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        (rows,), (gradient,) = ctx.saved_tensors, gradients
        if not ctx.sparse:
            return gradient.new_zeros(ctx.shape).index_copy_(0, rows, gradient), None, None
        whole = torch.sparse_coo_tensor(
            rows[None], gradient, ctx.shape, is_coalesced=True, check_invariants=False
        )
        return whole, None, None


def log_uniform_candidates(
    num_types: int, num_samples: int, rng: np.random.Generator
) -> tuple[np.ndarray, int]:
    """(S,) distinct ids in the order of their first draw, and the number of draws until S were found."""
    draws = np.empty(0, dtype=np.int64)
    while True:
        uniform = rng.random(2 * num_samples + len(draws))
        draws = np.append(
            draws, np.minimum(np.exp(uniform * math.log1p(num_types)).astype(np.int64) - 1, num_types - 1)
        )
        first = np.sort(np.unique(draws, return_index=True)[1])
        if len(first) >= num_samples:
            first = first[:num_samples]
            return draws[first], int(first[-1]) + 1


def log_expected_count(ids: np.ndarray, tries: int, num_types: int) -> np.ndarray:
    """log Q of each id; Q = 1 - (1 - P)^tries is the probability that `tries` draws contain it."""
    probability = np.log1p(1 / (ids + 1.0)) / math.log1p(num_types)
    expected: np.ndarray = np.log(-np.expm1(tries * np.log1p(-probability)))
    return expected


def _places(targets_N: np.ndarray, samples_S: np.ndarray) -> np.ndarray:
    """(N,) the place of each target among the samples, S for one that is not there."""
    order = np.argsort(samples_S)
    place_N = np.searchsorted(samples_S, targets_N, sorter=order)
    found_N = order[np.minimum(place_N, len(samples_S) - 1)]
    return np.where(samples_S[found_N] == targets_N, found_N, len(samples_S))
