"""The enhanced sequential inference model, the paper's model for SNLI.

Shape legend: B pairs, T words of the longest side, P and E sizes of the vectors, C size of a word in its
context, H hidden size of one direction.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elmo.registry import REGISTRY
from elmo.values import Dropout, Size
from tasks.heads.pairs.pair_head import PairHead, stacked
from tasks.heads.pooling import Pooling, masked_softmax
from tasks.heads.recurrent import RecurrentLayer
from tasks.heads.span_head import Words


@REGISTRY.register("head", "esim")
class Esim(PairHead):
    """Enhanced LSTM for Natural Language Inference (Chen et al. 2017), section 3, without its tree-LSTMs.

    Both sides pass the same layers::

        a = [BiLSTM(words); injected vectors]
        a' = soft attention of each word of a over the words of b
        composed = BiLSTM(relu(W [a; a'; a - a'; a * a'] + c))
        output = tanh(V [mean(composed a); max(composed a); mean(composed b); max(composed b)] + d)

    Args:
        input_size, injected_size: P and E.
        hidden_size: H, of both recurrent layers, and size of the linear layers; 300 in the paper.
        dropout: on the input of each layer, during training; 0.5 in the paper.
    """

    def __init__(
        self, *, input_size: int, injected_size: int, hidden_size: Size = 300, dropout: Dropout = 0.5
    ) -> None:
        super().__init__()
        self.context = RecurrentLayer(cell="lstm", input_size=input_size, hidden_size=hidden_size)
        self.projection = nn.Linear(4 * (self.context.output_size + injected_size), hidden_size)
        self.composition = RecurrentLayer(cell="lstm", input_size=hidden_size, hidden_size=hidden_size)
        self.pooling = Pooling(names=("mean", "max"), size=self.composition.output_size)
        self.matched = nn.Linear(2 * self.pooling.output_size, hidden_size)
        self.dropout = dropout
        self.output_size = hidden_size

    def forward(self, first: Words, second: Words) -> Tensor:
        sides = stacked(first, second)
        context_BTC = self.context(self._dropped(sides.vectors), sides.mask)
        if sides.injected is not None:
            context_BTC = torch.cat([context_BTC, sides.injected], dim=2)
        beside = torch.cat(soft_attention(context_BTC, sides.mask))
        enhanced = torch.cat([context_BTC, beside, context_BTC - beside, context_BTC * beside], dim=2)
        projected_BTH = torch.relu(self.projection(self._dropped(enhanced)))
        composed = self.composition(self._dropped(projected_BTH), sides.mask)
        pooled_first, pooled_second = self.pooling(composed, sides.mask).chunk(2)
        pooled = torch.cat([pooled_first, pooled_second], dim=1)
        return torch.tanh(self.matched(self._dropped(pooled)))

    def _dropped(self, vectors: Tensor) -> Tensor:
        return F.dropout(vectors, self.dropout, self.training)


def soft_attention(context_BTC: Tensor, mask_BT: Tensor) -> tuple[Tensor, Tensor]:
    """For each word of a side the mean of the other side's words, weighted by the softmax of dot products.

    Chen et al. (2017), equations 11 to 13.

    Args:
        context_BTC: the words of both sides, all first sides before all second ones; zero in the padding.
        mask_BT: bool, true for words.
    """
    first_BTC, second_BTC = context_BTC.chunk(2)
    is_first_BT, is_second_BT = mask_BT.chunk(2)
    similarity_BTT = first_BTC @ second_BTC.transpose(1, 2)
    to_second_BTT = masked_softmax(similarity_BTT, is_second_BT[:, None])
    to_first_BTT = masked_softmax(similarity_BTT.transpose(1, 2), is_first_BT[:, None])
    return to_second_BTT @ second_BTC, to_first_BTT @ first_BTC
