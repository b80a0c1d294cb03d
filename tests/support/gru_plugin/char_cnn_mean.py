"""A biLM that carries no state: each word has the mean of the word vectors read so far."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elmo.bilm.bilm import BiLm, ContextLayers, State
from elmo.bilm.char_cnn import CharCnn
from elmo.registry import REGISTRY


class RunningMeans(ContextLayers):
    """One layer, which has to see a sentence whole."""

    def __init__(self, *, projection_size: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(projection_size, projection_size)])
        self.projection_size = projection_size

    def zero_state(self, num_rows: int) -> State:
        return []

    def forward(
        self, vectors_UP: Tensor, ids_DN: Tensor, batch_sizes: Sequence[int], state: State
    ) -> tuple[list[Tensor], State]:
        words_DNP = F.embedding(ids_DN, vectors_UP)
        total, means = words_DNP.new_zeros(2, batch_sizes[0], self.projection_size), []
        for step, rows in enumerate(words_DNP.split(list(batch_sizes), dim=1), start=1):
            total = total[:, : rows.shape[1]] + rows
            means.append(total / step)
        return [words_DNP, self.layers[0](torch.cat(means, dim=1))], []


@REGISTRY.register("encoder", "char_cnn_mean")
class CharCnnMean(BiLm):
    """Characters below running means."""

    def __init__(self, *, projection_size: int) -> None:
        words = CharCnn(
            embedding_size=4,
            filters=[(1, 4), (2, 8)],
            num_highways=0,
            projection_size=projection_size,
            activation="tanh",
        )
        super().__init__(words=words, context=RunningMeans(projection_size=projection_size))
