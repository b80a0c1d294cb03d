"""A bidirectional LSTM with pooled outputs, the sentence encoder of InferSent (Conneau et al. 2017).

Shape legend: B windows, T words of the longest one, P and E sizes of the vectors.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from elmo.registry import REGISTRY
from elmo.values import Depth, Dropout, Size
from tasks.heads.pooling import Pooling, PoolingName
from tasks.heads.recurrent import RecurrentLayers
from tasks.heads.text_head import TextHead


@REGISTRY.register("head", "bilstm")
class BiLstmHead(TextHead):
    """Bidirectional LSTM layers, whose outputs and the injected vectors are concatenated and pooled.

    Args:
        input_size, injected_size: P and E.
        hidden_size: number of cells per direction.
        num_layers: number of LSTM layers.
        dropout: between layers, during training.
        variational: the dropout of Gal and Ghahramani (2016) instead: one mask for all words of a window,
            on the inputs of each layer and on its recurrent connections.
        pooling: attention, max, mean, min, or several of them.
    """

    def __init__(
        self,
        *,
        input_size: int,
        injected_size: int,
        hidden_size: Size = 128,
        num_layers: Depth = 1,
        dropout: Dropout = 0.2,
        variational: bool = False,
        pooling: Sequence[PoolingName] = ("max", "mean"),
    ) -> None:
        super().__init__()
        self.layers = RecurrentLayers(
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout,
            variational=variational,
        )
        self.pooling = Pooling(names=pooling, size=self.layers.output_size + injected_size)
        self.output_size = self.pooling.output_size

    def forward(self, vectors_BTP: Tensor, mask_BT: Tensor, injected_BTE: Tensor | None) -> Tensor:
        outputs = self.layers(vectors_BTP, mask_BT)
        if injected_BTE is not None:
            outputs = torch.cat([outputs, injected_BTE], dim=-1)
        return self.pooling(outputs, mask_BT)
