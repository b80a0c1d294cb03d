"""The ELMo encoder above a table of word vectors: what an official model without a character CNN computes.

Shape legend: L layers with the table's as layer 0, D = 2 directions, N packed tokens, P projection,
U distinct types, B sentences, T tokens of the longest sentence with its two markers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from elmo.bilm.bilstm import BiLstm
from elmo.bilm.lstm import State
from elmo.registry import REGISTRY
from elmo.text.characters import TypeTable
from elmo.text.vocabulary import BEGIN_ID, END_ID, MARKERS, UNKNOWN_ID, Vocabulary


@REGISTRY.register("encoder", "word_lstm")
class WordLstm(nn.Module):
    """Contextual word vectors for the words of a vocabulary; every other word has the vector of `<UNK>`.

    It takes the place of a `CharCnnLstm`, with rows of its table where that one takes characters.

    Args:
        vocabulary: the words of the table, in its order.
        cell_size: LSTM cells of one direction and layer.
        projection_size: width of a word's vector and of an LSTM output in one direction.
        num_layers: LSTM layers.
        cell_clip, projection_clip: limits of LSTM cells and outputs; None for none.
        skip_connected: from the second LSTM layer on, the layer's input is added to its output.
    """

    def __init__(
        self,
        *,
        vocabulary: Vocabulary,
        cell_size: int,
        projection_size: int,
        num_layers: int,
        cell_clip: float | None,
        projection_clip: float | None,
        skip_connected: bool,
    ) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.zeros(len(vocabulary), projection_size))
        self.bilstm = BiLstm(
            cell_size=cell_size,
            projection_size=projection_size,
            num_layers=num_layers,
            cell_clip=cell_clip,
            projection_clip=projection_clip,
            skip_connected=skip_connected,
            dropout=0.0,
        )
        self.vocabulary = vocabulary
        self.cell_size, self.projection_size = cell_size, projection_size
        first = len(MARKERS)  # a word of a text that is spelled like a marker is none
        self._rows = {word: row for row, word in enumerate(vocabulary.words[first:], start=first)}

    @property
    def num_layers(self) -> int:
        """Layers of vectors that come out: the table's and one for each LSTM layer."""
        return len(self.bilstm.layers) + 1

    def rows_of(self, types: TypeTable) -> np.ndarray:
        """The row of each type in the table, (U,) int64; the first two types are the markers."""
        rows = [self._rows.get(word, UNKNOWN_ID) for word in types.words()]
        rows[:2] = BEGIN_ID, END_ID
        return np.array(rows, dtype=np.int64)

    def run_packed(
        self,
        rows_U: Tensor,
        ids_DN: Tensor,
        batch_sizes: Sequence[int],
        state: Sequence[State] | None = None,
    ) -> tuple[list[Tensor], list[State]]:
        """`BiLstm.run_packed` above the table's rows of the distinct types."""
        return self.bilstm.run_packed(self.embedding[rows_U], ids_DN, batch_sizes, state)

    def forward(
        self, rows_U: Tensor, ids_BT: Tensor, lengths_B: Tensor, state: Sequence[State] | None = None
    ) -> tuple[Tensor, list[State]]:
        """`BiLstm.run_sentences` above the table's rows of the distinct types."""
        return self.bilstm.run_sentences(self.embedding[rows_U], ids_BT, lengths_B, state)
