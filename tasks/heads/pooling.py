"""Pooling of the words of a window, and of the windows of a long text, to one vector.

Shape legend: N texts, B windows of all of them, T words of the longest window, P size of a word's vector,
S size of a window's vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from elmo.errors import InputError

PoolingName = Literal["attention", "max", "mean", "min"]


class Pooling(nn.Module):
    """One pooling, or several whose results are concatenated.

    Attention is a mean with the weights softmax(w . x) and a trained w: the self-attentive pooling of McCann
    et al. (2017, section 5) without its bias, which does not change a softmax.

    Args:
        names: of the poolings, each at most once.
        size: P.

    Attributes:
        output_size: P for each pooling.
    """

    def __init__(self, *, names: Sequence[PoolingName], size: int) -> None:
        super().__init__()
        if not names or len(set(names)) < len(names):
            raise InputError(
                f"head.pooling: expected attention, max, mean, min or several, each once, got {list(names)}"
            )
        self.names = list(names)
        self.output_size = len(names) * size
        self.attention = AttentionPooling(size=size) if "attention" in names else None

    def forward(self, vectors_BTP: Tensor, mask_BT: Tensor) -> Tensor:
        """(B, output_size), without the padding; every window needs at least one word."""
        return torch.cat([self._pool(name, vectors_BTP, mask_BT) for name in self.names], dim=1)

    def _pool(self, name: PoolingName, vectors_BTP: Tensor, mask_BT: Tensor) -> Tensor:
        padding_BT1 = ~mask_BT[..., None]
        if name == "max":
            return vectors_BTP.masked_fill(padding_BT1, -torch.inf).amax(dim=1)
        if name == "min":
            return vectors_BTP.masked_fill(padding_BT1, torch.inf).amin(dim=1)
        if name == "mean":
            return vectors_BTP.masked_fill(padding_BT1, 0.0).sum(dim=1) / mask_BT.sum(dim=1, keepdim=True)
        assert self.attention is not None
        return self.attention(vectors_BTP, mask_BT)


class AttentionPooling(nn.Module):
    """The mean of a text's words, weighted by softmax(w . x) with a trained w.

    Args:
        size: P.
    """

    def __init__(self, *, size: int) -> None:
        super().__init__()
        self.score = nn.Linear(size, 1, bias=False)

    def forward(self, vectors_BTP: Tensor, mask_BT: Tensor) -> Tensor:
        """(B, P), zero for a text without words."""
        return weighted_sum(masked_softmax(self.score(vectors_BTP).squeeze(2), mask_BT), vectors_BTP)


class WindowAttention(nn.Module):
    """The mean of a text's windows, weighted by softmax(query . window) with a trained query.

    The query is initially zero, which gives the plain mean. The only window of a short text is returned
    unchanged.

    Args:
        size: S.
    """

    def __init__(self, *, size: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(size))

    def forward(self, vectors_BS: Tensor, text_of_window_B: Tensor, num_texts: int) -> Tensor:
        """(N, S); every text in 0..N-1 needs at least one window; the windows may have any order."""
        text_N1 = torch.arange(num_texts, device=text_of_window_B.device)[:, None]
        scores_B = (vectors_BS * self.query).sum(dim=1)  # not a matrix product: autocast keeps full precision
        weights_NB = masked_softmax(scores_B.expand(num_texts, -1), text_of_window_B == text_N1)
        return weights_NB.to(vectors_BS.dtype) @ vectors_BS


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """The softmax over the last axis, restricted to the mask; 0 outside it, also if the mask is all false."""
    lowest = torch.finfo(scores.dtype).min  # not -inf: the softmax of a row of -inf is nan
    return torch.softmax(scores.masked_fill(~mask, lowest), dim=-1).masked_fill(~mask, 0.0)


def weighted_sum(weights_BT: Tensor, vectors_BTP: Tensor) -> Tensor:
    """(B, P), the weighted sum of each text's vectors."""
    return (weights_BT[:, None] @ vectors_BTP).squeeze(1)
