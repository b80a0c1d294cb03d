"""Cross-entropy of a linear layer over many classes, a piece of the tokens at a time.

Shape legend: N tokens, P vector size, V classes, K tokens of one piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

PIECE_VALUES = 2**22  # scores held at once, 16 MiB in single precision


def summed_loss(vectors_NP: Tensor, weight_VP: Tensor, bias_V: Tensor, targets_N: Tensor) -> Tensor:
    """The sum of -log softmax(weight x + bias)[target], in nats, summed piece by piece."""
    device = vectors_NP.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight_VP.dtype
    with torch.autocast(device, enabled=False):
        return _SummedLoss.apply(vectors_NP.to(weight_VP.dtype), weight_VP, bias_V, targets_N, dtype)


@torch.no_grad()
def log_probabilities(vectors_NP: Tensor, weight_VP: Tensor, bias_V: Tensor, targets_N: Tensor) -> Tensor:
    """(N,) log softmax(weight x + bias)[target], without gradient, a piece at a time."""
    vectors_NP = vectors_NP.to(weight_VP.dtype)
    with torch.autocast(vectors_NP.device.type, enabled=False):
        losses = [
            F.cross_entropy(F.linear(vectors_NP[span], weight_VP, bias_V), targets_N[span], reduction="none")
            for span in _pieces(len(targets_N), len(weight_VP))
        ]
    return -torch.cat(losses) if losses else vectors_NP.new_zeros(0)


class _SummedLoss(torch.autograd.Function):
    """The loss; its gradient is computed on the way, while a piece's scores are at hand."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, vectors: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, dtype: torch.dtype
    ) -> Tensor:
        cast = weight.to(dtype)
        loss = bias.new_zeros(())
        d_vectors = torch.empty_like(vectors)
        d_weight, d_bias = torch.zeros_like(weight), torch.zeros_like(bias)
        for span in _pieces(len(targets), len(weight)):
            inputs, target_K1 = vectors[span].to(dtype), targets[span, None]
            scores_KV = inputs @ cast.T + bias
            highest_K1, best_K1 = scores_KV.max(dim=1, keepdim=True)
            # softmax's own exponentials are many times faster than exp() on the CPU where they underflow
            errors_KV = torch.softmax(scores_KV, dim=1)
            normalizer_K1 = highest_K1 - errors_KV.gather(1, best_K1).log()
            loss += (normalizer_K1 - scores_KV.gather(1, target_K1)).sum()
            errors_KV.scatter_add_(1, target_K1, errors_KV.new_full(target_K1.shape, -1.0))
            d_bias += errors_KV.sum(0)
            errors = errors_KV.to(dtype)
            d_vectors[span] = (errors @ cast).to(vectors.dtype)
            d_weight += errors.T @ inputs
        ctx.save_for_backward(d_vectors, d_weight, d_bias)
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        d_vectors, d_weight, d_bias = (saved * gradients[0] for saved in ctx.saved_tensors)
        return d_vectors, d_weight, d_bias, None, None


def _pieces(num_tokens: int, num_classes: int) -> Iterator[slice]:
    size = max(1, PIECE_VALUES // num_classes)
    return (slice(start, start + size) for start in range(0, num_tokens, size))
