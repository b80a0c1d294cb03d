"""A bidirectional LSTM below a conditional random field (Lample et al. 2016; Peters et al. 2017 for ELMo).

Shape legend: B sentences, T words of the longest one, P and E sizes of the vectors.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from elmo.registry import REGISTRY
from elmo.values import Depth, Dropout, Size
from tasks.heads.attention import variational_dropout
from tasks.heads.recurrent import RecurrentLayers
from tasks.heads.tags.tag_head import TagHead


@REGISTRY.register("head", "bilstm_crf")
class BiLstmCrfHead(TagHead):
    """Bidirectional LSTM layers, whose outputs and the injected vectors are concatenated.

    Args:
        input_size, injected_size: P and E.
        hidden_size: number of cells per direction.
        num_layers: number of LSTM layers.
        dropout: on each layer's outputs, during training.
        variational: the dropout of Gal and Ghahramani (2016) instead: one mask for all words of a sentence,
            on the inputs of each layer, on its recurrent connections and on the outputs of the last one.
        crf: learn scores of neighbouring labels, too.
    """

    def __init__(
        self,
        *,
        input_size: int,
        injected_size: int,
        hidden_size: Size = 200,
        num_layers: Depth = 1,
        dropout: Dropout = 0.5,
        variational: bool = False,
        crf: bool = True,
    ) -> None:
        super().__init__()
        self.crf, self.dropout, self.variational = crf, dropout, variational
        self.layers = RecurrentLayers(
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout,
            variational=variational,
        )
        self.output_size = self.layers.output_size + injected_size

    def forward(self, vectors_BTP: Tensor, mask_BT: Tensor, injected_BTE: Tensor | None) -> Tensor:
        outputs = self.layers(vectors_BTP, mask_BT)
        dropped = variational_dropout if self.variational else F.dropout
        outputs = dropped(outputs, self.dropout, self.training)
        return outputs if injected_BTE is None else torch.cat([outputs, injected_BTE], dim=-1)
