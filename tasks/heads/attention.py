"""Attention between padded words, and the dropout that goes with it.

Shape legend: B texts, T words of the longest one, Q of the longest other text, P size of a vector.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """The softmax over the last axis of what the mask has; zeros elsewhere, also where it has nothing."""
    lowest = torch.finfo(scores.dtype).min  # -inf alone would have a softmax of nan
    return torch.softmax(scores.masked_fill(~mask, lowest), dim=-1).masked_fill(~mask, 0.0)


def variational_dropout(vectors_BTP: Tensor, rate: float, training: bool) -> Tensor:
    """Dropout of whole columns: all words of a text lose the same values (Gal and Ghahramani 2016)."""
    if not training:
        return vectors_BTP
    return vectors_BTP * F.dropout(vectors_BTP.new_ones(len(vectors_BTP), 1, vectors_BTP.shape[2]), rate)


class TrilinearSimilarity(nn.Module):
    """w1 x + w2 y + w3 (x * y) for words x of one text and y of another (Seo et al. 2017, section 2).

    Args:
        size: P.
    """

    def __init__(self, *, size: int) -> None:
        super().__init__()
        self.left = nn.Linear(size, 1, bias=False)
        self.right = nn.Linear(size, 1, bias=False)
        self.product = nn.Linear(size, 1, bias=False)

    def forward(self, left_BTP: Tensor, right_BQP: Tensor) -> Tensor:
        """(B, T, Q), how similar each word of the left text is to each one of the right text."""
        product_BTQ = (left_BTP * self.product.weight) @ right_BQP.transpose(1, 2)
        return self.left(left_BTP) + self.right(right_BQP).transpose(1, 2) + product_BTQ


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


def weighted_sum(weights_BT: Tensor, vectors_BTP: Tensor) -> Tensor:
    """(B, P), the sum of each text's vectors times their weights."""
    return (weights_BT[:, None] @ vectors_BTP).squeeze(1)
