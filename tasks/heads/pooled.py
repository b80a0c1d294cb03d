"""The simplest head: poolings of a window's words.

Shape legend: B windows, T words of the longest one, P and E sizes of the vectors.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from elmo.registry import REGISTRY
from elmo.values import Size
from tasks.heads.pooling import Pooling, PoolingName
from tasks.heads.text_head import TextHead, refuse_injection


@REGISTRY.register("head", "pooled")
class PooledHead(TextHead):
    """Concatenated poolings, optionally followed by layer normalisation and a linear layer with relu.

    With pooling [mean] and only a relu layer, it is a deep averaging network (Iyyer et al. 2015). The mean of
    a text's words becomes smaller with the length of the text; layer normalisation (Ba et al. 2016) rescales
    it, so that a linear layer learns from it in the usual number of steps.

    Args:
        input_size, injected_size: P and E; E must be 0, as the head has no recurrent layer.
        pooling: attention, max, mean, min, or several of them.
        layer_normed: normalise the concatenated poolings of each window, with a trained scale and shift.
        hidden_size: size of the relu layer; None: no layer.
    """

    def __init__(
        self,
        *,
        input_size: int,
        injected_size: int,
        pooling: Sequence[PoolingName] = ("mean", "max"),
        layer_normed: bool = False,
        hidden_size: Size | None = None,
    ) -> None:
        super().__init__()
        refuse_injection("pooled", injected_size)
        self.pooling = Pooling(names=pooling, size=input_size)
        self.norm: nn.Module = nn.LayerNorm(self.pooling.output_size) if layer_normed else nn.Identity()
        self.hidden: nn.Module = nn.Identity()
        self.output_size = self.pooling.output_size
        if hidden_size is not None:
            self.hidden = nn.Sequential(nn.Linear(self.pooling.output_size, hidden_size), nn.ReLU())
            self.output_size = hidden_size

    def forward(self, vectors_BTP: Tensor, mask_BT: Tensor, injected_BTE: Tensor | None) -> Tensor:
        return self.hidden(self.norm(self.pooling(vectors_BTP, mask_BT)))
