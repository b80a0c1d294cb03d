"""Modules that the question answering heads share: variational dropout and trilinear similarity.

Shape legend: B texts, T words of the longest one, Q words of the longest other text, P size of a vector.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


def variational_dropout(vectors_BTP: Tensor, rate: float, training: bool) -> Tensor:
    """Dropout with one mask for all words of a text (Gal and Ghahramani 2016)."""
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
        """(B, T, Q) similarities of each word of the left text to each word of the right text."""
        product_BTQ = (left_BTP * self.product.weight) @ right_BQP.transpose(1, 2)
        return self.left(left_BTP) + self.right(right_BQP).transpose(1, 2) + product_BTQ
