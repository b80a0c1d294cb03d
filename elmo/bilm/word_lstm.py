"""LSTM layers above a table of word vectors: the official models without a character CNN.

Shape legend: U distinct types, P projection.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from elmo.bilm.bilm import BiLm, WordLayer
from elmo.bilm.lstm import BiLstm
from elmo.registry import REGISTRY
from elmo.text.characters import TypeTable
from elmo.text.vocabulary import BEGIN_ID, END_ID, MARKERS, UNKNOWN_ID, Vocabulary
from elmo.values import Depth, Positive, Size

EMBEDDING = "embedding"  # the table's name in official files


class WordTable(WordLayer):
    """A table of word vectors; a word outside the vocabulary gets the vector of `<UNK>`.

    Args:
        vocabulary: the words, in the table's order.
        projection_size: P.
    """

    vocabulary: Vocabulary

    def __init__(self, *, vocabulary: Vocabulary, projection_size: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.zeros(len(vocabulary), projection_size))
        self.vocabulary = vocabulary
        first = len(MARKERS)  # a word of a text that is spelled like a marker is unknown, not a marker
        self._rows = {word: row for row, word in enumerate(vocabulary.words[first:], start=first)}

    def read(self, types: TypeTable, type_ids: np.ndarray) -> Tensor:
        """(U,) int64 rows of the table; types 0 and 1 are the markers."""
        markers = {0: BEGIN_ID, 1: END_ID}
        rows = [
            markers[index] if index in markers else self._rows.get(types.word(index), UNKNOWN_ID)
            for index in type_ids.tolist()
        ]
        return torch.tensor(rows, dtype=torch.long)

    def forward(self, rows_U: Tensor) -> Tensor:
        return self.embedding[rows_U]

    def official_options(self) -> dict[str, Any]:
        return {}

    def official_tensors(self) -> dict[str, Tensor]:
        return {EMBEDDING: self.embedding}


@REGISTRY.register("encoder", "word_lstm")
class WordLstm(BiLm):
    """Contextual vectors for the words of a vocabulary; only read from official files, never pretrained here.

    Args:
        vocabulary: the words of the table, in its order.
        cell_size: number of LSTM cells per direction and layer.
        projection_size: size of a word's vector and of an LSTM output in one direction.
        num_layers: number of LSTM layers.
        cell_clip, projection_clip: largest absolute value of LSTM cells and outputs; None: no limit.
        skip_connected: from the second LSTM layer on, the layer's input is added to its output.
    """

    needs_vocabulary = True

    def __init__(
        self,
        *,
        vocabulary: Vocabulary,
        cell_size: Size,
        projection_size: Size,
        num_layers: Depth,
        cell_clip: Positive | None,
        projection_clip: Positive | None,
        skip_connected: bool,
    ) -> None:
        context = BiLstm(
            cell_size=cell_size,
            projection_size=projection_size,
            num_layers=num_layers,
            cell_clip=cell_clip,
            projection_clip=projection_clip,
            skip_connected=skip_connected,
            dropout=0.0,
        )
        words = WordTable(vocabulary=vocabulary, projection_size=projection_size)
        super().__init__(words=words, context=context)
