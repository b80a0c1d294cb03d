"""A siamese head: one encoder for both sides, and what their vectors have in common.

Shape legend: B pairs, T words of the longest side, P and E sizes of the vectors, S size of a side's vector.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elmo.errors import InputError
from elmo.registry import REGISTRY
from elmo.values import Dropout, Size
from tasks.heads.pairs.pair_head import PairHead, stacked
from tasks.heads.pooling import Pooling, PoolingName
from tasks.heads.recurrent import RecurrentLayer
from tasks.heads.span_head import Words


@REGISTRY.register("head", "siamese")
class SiameseHead(PairHead):
    """Pooled words u and v of the sides, and a layer over [u; v; |u - v|; u * v] (Conneau et al. 2017).

    Args:
        input_size, injected_size: P and E.
        hidden_size: of the LSTM in one direction that both sides pass; None: their words are pooled at once.
        pooling: attention, max, mean, min, or several of them.
        linear_size: size of the relu layer; 512 in the paper.
        symmetric: leave out u and v themselves (Tai et al. 2015, section 4.2), so that the sides may change
            places, as those of paraphrases.
        dropout: on the words' vectors and before the relu layer, during training.
    """

    def __init__(
        self,
        *,
        input_size: int,
        injected_size: int,
        hidden_size: Size | None = 128,
        pooling: Sequence[PoolingName] = ("max",),
        linear_size: Size = 256,
        symmetric: bool = False,
        dropout: Dropout = 0.2,
    ) -> None:
        super().__init__()
        if hidden_size is None and injected_size:
            raise InputError(
                "head.hidden_size: null leaves no recurrent layer after which vectors could be injected; use"
                " task.injection=input"
            )
        self.recurrent: RecurrentLayer | None = None
        size = input_size
        if hidden_size is not None:
            self.recurrent = RecurrentLayer(cell="lstm", input_size=input_size, hidden_size=hidden_size)
            size = self.recurrent.output_size + injected_size
        self.pooling = Pooling(names=pooling, size=size)
        num_parts = 2 if symmetric else 4
        self.matched = nn.Linear(num_parts * self.pooling.output_size, linear_size)
        self.symmetric, self.dropout = symmetric, dropout
        self.output_size = linear_size

    def forward(self, first: Words, second: Words) -> Tensor:
        sides = stacked(first, second)
        vectors_BTP = self._dropped(sides.vectors)
        if self.recurrent is not None:
            vectors_BTP = self.recurrent(vectors_BTP, sides.mask)
        if sides.injected is not None:
            vectors_BTP = torch.cat([vectors_BTP, sides.injected], dim=2)
        u_BS, v_BS = self.pooling(vectors_BTP, sides.mask).chunk(2)
        parts = [] if self.symmetric else [u_BS, v_BS]
        compared = torch.cat([*parts, (u_BS - v_BS).abs(), u_BS * v_BS], dim=1)
        return torch.relu(self.matched(self._dropped(compared)))

    def _dropped(self, vectors: Tensor) -> Tensor:
        return F.dropout(vectors, self.dropout, self.training)
