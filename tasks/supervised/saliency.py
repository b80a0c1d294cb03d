"""Saliency: how much each word contributes to a score, as gradient times input."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def gradient_saliency(vectors: Sequence[Tensor], score: Callable[[], Tensor]) -> Tensor:
    """(B, T) gradient times input, summed over each vector: its first-order contribution to a score.

    cuDNN is switched off during the computation: its recurrent layers have no backward pass in evaluation
    mode.

    Args:
        vectors: (B, T, P) each, leaves of the graph that require a gradient.
        score: computes a scalar from them.
    """
    with torch.backends.cudnn.flags(enabled=False):
        gradients = torch.autograd.grad(score(), list(vectors))
    products = [(gradient * v).sum(dim=-1) for gradient, v in zip(gradients, vectors, strict=True)]
    return torch.stack(products).sum(dim=0).detach()
