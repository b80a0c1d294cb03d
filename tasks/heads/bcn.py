"""The biattentive classification network (McCann et al. 2017, section 5; Peters et al. 2018 for SST-5).

Shape legend: B windows, T words of the longest one, P and E sizes of the vectors, S size of an encoded word.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor, nn

from elmo.registry import REGISTRY
from elmo.values import Dropout, Length, Range, Size
from tasks.heads.attention import variational_dropout
from tasks.heads.pooling import Pooling, masked_softmax
from tasks.heads.recurrent import RecurrentLayer
from tasks.heads.text_head import TextHead


@REGISTRY.register("head", "bcn")
class BcnHead(TextHead):
    """Encoder, self-attention (biattention of a text with itself), integrator, four poolings, output layers.

    The original has two texts; for classification both are the same::

        X = encoder(relu(W x + b))
        C = softmax(X X^T) X
        integrated = [integrator([X; X - C; X * C]); injected vectors]
        output layers([max; mean; min; attention pooling of integrated])

    The original ends with a maxout network with batch normalisation; Peters et al. use relu layers instead.
    Maxout layers have layer normalisation here, so that a text's result does not depend on its batch, and a
    batch may have a single window.

    Args:
        input_size, injected_size: P and E.
        hidden_size: size of the first layer, and number of cells per direction of encoder and integrator.
        output_sizes: sizes of the output layers, from the first to the last.
        maxout_pieces: number of linear functions per maxout unit; None: relu layers.
        dropout: on the input of the first layer and of each output layer, during training.
        variational: the same dropout also on the inputs of encoder and integrator and on their recurrent
            connections, with one mask for all words of a window (Gal and Ghahramani 2016).
    """

    def __init__(
        self,
        *,
        input_size: int,
        injected_size: int,
        hidden_size: Size = 300,
        output_sizes: Annotated[Sequence[Size], Length(1, 100)] = (1200, 600),
        maxout_pieces: Annotated[int, Range(2, 1000)] | None = None,
        dropout: Dropout = 0.2,
        variational: bool = False,
    ) -> None:
        super().__init__()
        self.recurrent_dropout = dropout if variational else 0.0
        self.feed_forward = nn.Sequential(nn.Dropout(dropout), nn.Linear(input_size, hidden_size), nn.ReLU())
        self.encoder = RecurrentLayer(
            cell="lstm",
            input_size=hidden_size,
            hidden_size=hidden_size,
            recurrent_dropout=self.recurrent_dropout,
        )
        self.integrator = RecurrentLayer(
            cell="lstm",
            input_size=3 * self.encoder.output_size,
            hidden_size=hidden_size,
            recurrent_dropout=self.recurrent_dropout,
        )
        self.pooling = Pooling(
            names=("max", "mean", "min", "attention"), size=self.integrator.output_size + injected_size
        )
        self.output = _output_network(self.pooling.output_size, output_sizes, maxout_pieces, dropout)
        self.output_size = output_sizes[-1]

    def forward(self, vectors_BTP: Tensor, mask_BT: Tensor, injected_BTE: Tensor | None) -> Tensor:
        x_BTS = self.encoder(self._dropped(self.feed_forward(vectors_BTP)), mask_BT)
        context_BTS = self_attended(x_BTS, mask_BT)
        beside = torch.cat([x_BTS, x_BTS - context_BTS, x_BTS * context_BTS], dim=-1)
        integrated = self.integrator(self._dropped(beside), mask_BT)
        if injected_BTE is not None:
            integrated = torch.cat([integrated, injected_BTE], dim=-1)
        return self.output(self.pooling(integrated, mask_BT))

    def _dropped(self, vectors_BTP: Tensor) -> Tensor:
        if not self.recurrent_dropout:
            return vectors_BTP
        return variational_dropout(vectors_BTP, self.recurrent_dropout, self.training)


class Maxout(nn.Module):
    """A maxout layer: each unit is the maximum of several linear functions (Goodfellow et al. 2013)."""

    def __init__(self, *, input_size: int, output_size: int, num_pieces: int) -> None:
        super().__init__()
        self.linear = nn.Linear(input_size, output_size * num_pieces)
        self.num_pieces = num_pieces

    def forward(self, vectors_BP: Tensor) -> Tensor:
        """(B, output_size)."""
        return self.linear(vectors_BP).unflatten(1, (-1, self.num_pieces)).amax(dim=2)


def self_attended(x_BTS: Tensor, mask_BT: Tensor) -> Tensor:
    """(B, T, S) dot-product self-attention: for each word, the weighted mean of all words."""
    weights_BTT = masked_softmax(x_BTS @ x_BTS.transpose(1, 2), mask_BT[:, None])
    return weights_BTT @ x_BTS


def _output_network(
    input_size: int, sizes: Sequence[int], maxout_pieces: int | None, dropout: float
) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, size in zip([input_size, *sizes], sizes, strict=False):
        if maxout_pieces is None:
            layers += [nn.Dropout(dropout), nn.Linear(before, size), nn.ReLU()]
        else:
            maxout = Maxout(input_size=before, output_size=size, num_pieces=maxout_pieces)
            layers += [nn.LayerNorm(before), nn.Dropout(dropout), maxout]
    return nn.Sequential(*layers)
