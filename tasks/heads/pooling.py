"""From the vectors of a window's words to one vector, whatever their number.

Shape legend: B windows, T words of the longest one, P size of a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from elmo.errors import InputError
from tasks.heads.attention import AttentionPooling

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
