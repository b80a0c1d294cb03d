"""The original's sampled softmax: each target against candidates from a log-uniform distribution (Jean et al.
2015).

Shape legend: D = 2 directions, N tokens, P vector size, V vocabulary, S candidates, R rows used, K tokens
of a piece.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from elmo.bilm.softmaxes.cross_entropy import (
    FEWEST_TOKENS,
    add_products,
    block_values,
    log_probabilities,
    product_dtype,
    scores_of,
    spans,
    to_softmax,
)
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
        sparse: sparse gradients, of the used rows only; for optimizers that accept them (Adagrad, SGD). Dense
            ones have as many rows as the vocabulary, most of them zeros.
    """

    loss_name = "train/sampled_loss"
    can_be_static = True

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

        `targets` and `candidates` are places in `rows`; `log_counts` is how often each direction's draws are
        expected to contain the rows' words; `hits` says which candidate a target is itself, or S for none.

        With `is_static`, words that are not used make the number of rows one for all batches of this size;
        their gradient is zero.
        """
        num_types, all_targets = len(self.weight), targets_DN if all_targets_DM is None else all_targets_DM
        drawn = [log_uniform_candidates(num_types, self.num_samples, rng) for _ in targets_DN]
        samples_DS = np.stack([ids for ids, _ in drawn])
        is_used_V = np.zeros(num_types, dtype=bool)
        is_used_V[all_targets] = is_used_V[samples_DS] = True
        rows_R = np.flatnonzero(is_used_V)
        if self.is_static:
            rows_R = _with_unused(rows_R, min(num_types, all_targets.size + samples_DS.size))
        counts_DR = np.stack([log_expected_count(rows_R, tries, num_types) for _, tries in drawn])
        place_V = _places(rows_R, num_types)
        pairs = zip(targets_DN, samples_DS, strict=True)
        hits_DN = np.stack([_places(samples, num_types)[targets] for targets, samples in pairs])
        return {
            "rows": torch.from_numpy(rows_R),
            "targets": torch.from_numpy(place_V[targets_DN]),
            "candidates": torch.from_numpy(place_V[samples_DS]),
            "hits": torch.from_numpy(hits_DN),
            "log_counts": torch.from_numpy(counts_DR.astype(np.float32)),
        }

    def forward(self, vectors_DNP: Tensor, plan: Plan) -> Tensor:
        """The mean sampled loss of all tokens of both directions, in nats: a scalar."""
        rows = plan["rows"]
        weight_RP = _TakeRows.apply(self.weight, rows, self.sparse)
        bias_R = _TakeRows.apply(self.bias, rows, self.sparse).squeeze(1)
        if self.sparse:
            for table in (self.weight, self.bias):
                _flag_distinct(table, len(rows))
        places = (plan["log_counts"], plan["targets"], plan["candidates"], plan["hits"])
        vectors_DNP = vectors_DNP.to(weight_RP.dtype)
        loss = _SummedSampledLoss.apply(vectors_DNP, weight_RP, bias_R, *places, product_dtype(weight_RP))
        return loss / plan["targets"].numel()

    def log_probabilities(self, vectors_DNP: Tensor, targets_DN: Tensor) -> Tensor:
        """(D, N) natural logarithms of the targets' probabilities under the full softmax."""
        vectors, targets = vectors_DNP.flatten(0, 1), targets_DN.flatten()
        return log_probabilities(vectors, self.weight, self.bias.squeeze(1), targets).view(targets_DN.shape)

    def activations(self, num_tokens: int) -> int:
        """Of the rows that are used: they, their gradient twice, and what an optimizer makes of them."""
        return 6 * min(2 * (num_tokens + self.num_samples), len(self.weight)) * self.weight.shape[1]

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


def _flag_distinct(table: nn.Parameter, num_rows: int) -> None:
    """Say of the next gradient that its rows are distinct, so that no optimizer looks for equal ones.

    Autograd forgets what `_TakeRows` said of them. The sum of several gradients has more rows than one of
    them, unless their rows were merged, and is distinct then, too.
    """
    if not (table.requires_grad and torch.is_grad_enabled()):
        return

    def flag(parameter: Tensor) -> None:
        gradient = parameter.grad
        if gradient is not None and gradient.is_sparse and gradient._nnz() == num_rows:
            gradient._coalesced_(True)
        hook.remove()

    hook = table.register_post_accumulate_grad_hook(flag)


class _SummedSampledLoss(torch.autograd.Function):
    """The summed losses of both directions; the forward pass computes the gradients as well, piece by piece.

    A target's softmax is over itself and the candidates that are not it.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        vectors_DNP: Tensor,
        weight_RP: Tensor,
        bias_R: Tensor,
        log_counts_DR: Tensor,
        targets_DN: Tensor,
        candidates_DS: Tensor,
        hits_DN: Tensor,
        dtype: torch.dtype,
    ) -> Tensor:
        d_vectors_DNP = torch.empty_like(vectors_DNP)
        d_weight_RP, d_bias_R = torch.zeros_like(weight_RP), torch.zeros_like(bias_R)
        loss, least = bias_R.new_zeros(()), torch.finfo(bias_R.dtype).min / 2
        num_tokens, num_samples = targets_DN.shape[1], candidates_DS.shape[1]
        size = max(FEWEST_TOKENS, block_values(bias_R.device) // num_samples)
        for direction, (vectors, candidates) in enumerate(zip(vectors_DNP, candidates_DS, strict=True)):
            offset_R = bias_R - log_counts_DR[direction]
            table_SP, offset_S = weight_RP[candidates].to(dtype), offset_R[candidates]
            d_table_SP = torch.empty_like(table_SP, dtype=weight_RP.dtype)
            for tokens in spans(num_tokens, size):
                vectors_KP, targets = vectors[tokens], targets_DN[direction, tokens]
                own_KP, inputs_KP = weight_RP[targets], vectors_KP.to(dtype)
                true_K = (vectors_KP * own_KP).sum(1) + offset_R[targets]
                scores_KS = scores_of(inputs_KP, table_SP, offset_S)
                _leave_out(scores_KS, hits_DN[direction, tokens], least)
                errors_KS, false_K = to_softmax(scores_KS)
                normalizer_K = torch.logaddexp(true_K, false_K)
                loss += (normalizer_K - true_K).sum()
                # the gradient by the scores: the softmax, and at the target minus the sum of the others
                share_K1 = (false_K - normalizer_K).exp()[:, None]
                errors_KS.mul_(share_K1)
                d_bias_R.index_add_(0, candidates, errors_KS.sum(0))
                d_bias_R.index_add_(0, targets, -share_K1[:, 0])
                d_weight_RP.index_add_(0, targets, -share_K1 * vectors_KP)
                d_vectors_KP = d_vectors_DNP[direction, tokens]
                add_products(
                    d_vectors_KP,
                    d_table_SP,
                    errors_KS,
                    inputs_KP,
                    table_SP,
                    is_first_block=True,
                    is_first_piece=tokens.start == 0,
                )
                d_vectors_KP.addcmul_(share_K1, own_KP, value=-1)
            d_weight_RP.index_add_(0, candidates, d_table_SP)
        ctx.save_for_backward(d_vectors_DNP, d_weight_RP, d_bias_R)
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        return *(saved * gradients[0] for saved in ctx.saved_tensors), *[None] * 5


def _leave_out(scores_KS: Tensor, hits_K: Tensor, least: float) -> None:
    """Give the candidate of each token's hit the least score, in place; S stands for no hit."""
    num_samples = scores_KS.shape[1]
    place_K1 = hits_K[:, None].clamp(max=num_samples - 1)
    is_hit_K1 = hits_K[:, None] < num_samples
    scores_KS.scatter_(1, place_K1, scores_KS.gather(1, place_K1).masked_fill_(is_hit_K1, least))


def _with_unused(rows_R: np.ndarray, size: int) -> np.ndarray:
    """`size` distinct ids in ascending order: those given, and the most frequent words of the others."""
    unused = np.setdiff1d(np.arange(size), rows_R, assume_unique=True)[: size - len(rows_R)]
    return np.sort(np.concatenate([rows_R, unused]))


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
        # the first of equal draws, without sorting: it is the last one that is written
        number, first_V = np.arange(len(draws)), np.empty(num_types, dtype=np.int64)
        first_V[draws[::-1]] = number[::-1]
        first = np.flatnonzero(first_V[draws] == number)
        if len(first) >= num_samples:
            first = first[:num_samples]
            return draws[first], int(first[-1]) + 1


def log_expected_count(ids: np.ndarray, tries: int, num_types: int) -> np.ndarray:
    """log Q of each id; Q = 1 - (1 - P)^tries is the probability that `tries` draws contain it."""
    probability = np.log1p(1 / (ids + 1.0)) / math.log1p(num_types)
    expected: np.ndarray = np.log(-np.expm1(tries * np.log1p(-probability)))
    return expected


def _places(ids: np.ndarray, num_types: int) -> np.ndarray:
    """(V,) the place of each type among some distinct ones; their number for a type that is not there."""
    place_V = np.full(num_types, len(ids))
    place_V[ids] = np.arange(len(ids))
    return place_V
