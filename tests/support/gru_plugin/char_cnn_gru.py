"""A biLM whose context layers are GRUs (Cho et al. 2014), above ELMo's character CNN.

Shape legend: D = 2 directions, N packed tokens, B rows, P size of a word's vector and of a layer's output.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from elmo.bilm.bilm import BiLm, ContextLayers, State
from elmo.bilm.char_cnn import CharCnn
from elmo.registry import REGISTRY


class BiGru(ContextLayers):
    """GRU layers in both directions; their state is the last output of each layer, (2, B, P)."""

    def __init__(self, *, projection_size: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleList(nn.GRU(projection_size, projection_size) for _ in range(2))
            for _ in range(num_layers)
        )
        self.projection_size, self.dropout = projection_size, dropout

    def zero_state(self, num_rows: int) -> State:
        like = next(self.parameters())
        return [like.new_zeros(2, num_rows, self.projection_size) for _ in self.layers]

    def forward(
        self, vectors_UP: Tensor, ids_DN: Tensor, batch_sizes: Sequence[int], state: State
    ) -> tuple[list[Tensor], State]:
        sizes = torch.tensor(batch_sizes)
        output = F.embedding(ids_DN, vectors_UP)
        outputs, last = [output], []
        for directions, before in zip(self.layers, state, strict=True):
            given = F.dropout(output, self.dropout, self.training)
            ran = [
                gru(PackedSequence(x, sizes), h[None].contiguous())
                for gru, x, h in zip(directions, given, before, strict=True)
            ]
            output = torch.stack([packed.data for packed, _ in ran])
            outputs.append(output)
            last.append(torch.stack([h[0] for _, h in ran]).detach())
        return outputs, last


@REGISTRY.register("encoder", "char_cnn_gru")
class CharCnnGru(BiLm):
    """Characters below GRUs."""

    def __init__(self, *, projection_size: int, num_layers: int, dropout: float) -> None:
        words = CharCnn(
            embedding_size=4,
            filters=[(1, 4), (2, 8)],
            num_highways=1,
            projection_size=projection_size,
            activation="relu",
        )
        context = BiGru(projection_size=projection_size, num_layers=num_layers, dropout=dropout)
        super().__init__(words=words, context=context)
