"""Pooling: from the words of a window to one vector, and from the windows of a long text to one vector.

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
    """One pooling, or several whose results are joined.

    Attention is a mean with the weights softmax(w . x), w learned: the self-attentive pooling of McCann et
    al. (2017, section 5) without its bias, which a softmax ignores.

    Args:
        names: which, each once.
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
        """(B, output_size); padding does not count. Every window needs one word at least."""
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
    """The mean of a text's words, weighed by a softmax of w x.

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
    """A mean of a text's windows with the weights softmax(query . window); the query is learned.

    It begins at zero, as the plain mean. A text's only window has the weight 1, and stays as it is.

    Args:
        size: S.
    """

    def __init__(self, *, size: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(size))

    def forward(self, vectors_BS: Tensor, text_of_window_B: Tensor, num_texts: int) -> Tensor:
        """(N, S); every text in 0..N-1 needs one window at least, in any order."""
        text_N1 = torch.arange(num_texts, device=text_of_window_B.device)[:, None]
        scores_B = (vectors_BS * self.query).sum(dim=1)  # autocast leaves it in the precision of the query
        weights_NB = masked_softmax(scores_B.expand(num_texts, -1), text_of_window_B == text_N1)
        return weights_NB.to(vectors_BS.dtype) @ vectors_BS


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """The softmax over the last axis of what the mask has; zeros elsewhere, also where it has nothing."""
    lowest = torch.finfo(scores.dtype).min  # -inf alone would have a softmax of nan
    return torch.softmax(scores.masked_fill(~mask, lowest), dim=-1).masked_fill(~mask, 0.0)


def weighted_sum(weights_BT: Tensor, vectors_BTP: Tensor) -> Tensor:
    """(B, P), the sum of each text's vectors times their weights."""
    return (weights_BT[:, None] @ vectors_BTP).squeeze(1)
