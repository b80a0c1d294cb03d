"""The ELMo encoder above a table of word vectors: what an official model without a character CNN computes.

Shape legend: L layers with the table's as layer 0, D = 2 directions, N packed tokens, P projection,
U distinct types, B sentences, T tokens of the longest sentence with its two markers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elmo.characters import TypeTable
from elmo.encoders.char_cnn_lstm import Packing
from elmo.lstm import LstmLayer, State
from elmo.registry import REGISTRY
from elmo.vocabulary import BEGIN_ID, END_ID, MARKERS, UNKNOWN_ID, Vocabulary


@REGISTRY.register("word_encoder", "word_lstm")  # of no config group: it is read from files, never trained
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
        self.layers = nn.ModuleList(
            LstmLayer(
                input_size=projection_size,
                cell_size=cell_size,
                projection_size=projection_size if projection_size != cell_size else None,
                cell_clip=cell_clip,
                projection_clip=projection_clip,
            )
            for _ in range(num_layers)
        )
        self.vocabulary = vocabulary
        self.cell_size, self.projection_size = cell_size, projection_size
        self.skip_connected = skip_connected
        first = len(MARKERS)  # a word of a text that is spelled like a marker is none
        self._rows = {word: row for row, word in enumerate(vocabulary.words[first:], start=first)}

    @property
    def num_layers(self) -> int:
        """Layers of vectors that come out: the table's and one for each LSTM layer."""
        return len(self.layers) + 1

    def rows_of(self, types: TypeTable) -> np.ndarray:
        """The row of each type in the table, (U,) int64; the first two types are the markers."""
        rows = [self._rows.get(word, UNKNOWN_ID) for word in types.words()]
        rows[:2] = BEGIN_ID, END_ID
        return np.array(rows, dtype=np.int64)

    def zero_state(self, num_rows: int) -> list[State]:
        """For each LSTM layer, zeros of (2, rows, projection) and (2, rows, cells)."""
        return [layer.zero_state(num_rows) for layer in self._lstm_layers()]

    def run_packed(
        self,
        rows_U: Tensor,
        ids_DN: Tensor,
        batch_sizes: Sequence[int],
        state: Sequence[State] | None = None,
    ) -> tuple[list[Tensor], list[State]]:
        """Run packed sequences (see `elmo.lstm`).

        Args:
            rows_U: rows of the distinct types in the table.
            ids_DN: of each packed token, in each direction's reading order, its place in `rows_U`.
            batch_sizes: rows alive at each step.
            state: of each LSTM layer for `batch_sizes[0]` rows; None for zeros.

        Returns:
            L tensors (2, N, P), the outputs of each layer in each direction's reading order; and each row's
            state after its last step.
        """
        state = self.zero_state(batch_sizes[0]) if state is None else state
        output = F.embedding(rows_U[ids_DN], self.embedding)
        layers, last = [output], []
        for index, (layer, before) in enumerate(zip(self._lstm_layers(), state, strict=True)):
            given = output
            output, after = layer(given, batch_sizes, before)
            if index > 0 and self.skip_connected:
                output = output + given
            layers.append(output)
            last.append(after)
        return layers, last

    def forward(
        self, rows_U: Tensor, ids_BT: Tensor, lengths_B: Tensor, state: Sequence[State] | None = None
    ) -> tuple[Tensor, list[State]]:
        """Run whole sentences, markers included, whatever their order and lengths.

        Args:
            rows_U: rows of the distinct types in the table.
            ids_BT: the place of each token in `rows_U`; beyond a sentence's length it does not matter.
            lengths_B: tokens of each sentence, markers included, at least 1.
            state: of each LSTM layer, row r for sentence r; None for zeros.

        Returns:
            (L, B, T, 2 P) vectors, zero beyond each sentence, and the state after each sentence.
        """
        packing = Packing(lengths_B)
        if state is not None:
            state = [(h[:, packing.order], c[:, packing.order]) for h, c in state]
        layers, last = self.run_packed(rows_U, packing.pack(ids_BT), packing.batch_sizes, state)
        vectors = torch.stack([packing.unpack(layer) for layer in layers])
        back = packing.order.argsort()
        return vectors, [(h[:, back], c[:, back]) for h, c in last]

    def _lstm_layers(self) -> list[LstmLayer]:
        return [layer for layer in self.layers if isinstance(layer, LstmLayer)]
