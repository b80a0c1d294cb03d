"""The stack of LSTM layers above word vectors, in both reading directions (Peters et al. 2018, section 3.1).

Shape legend: L layers with the word vectors as layer 0, D = 2 directions, N packed tokens, P projection,
U distinct types, B sentences, T tokens of the longest sentence with its two markers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elmo.bilm.lstm import LstmLayer, State


class BiLstm(nn.Module):
    """LSTM layers whose directions share their input and nothing else.

    Args:
        cell_size: LSTM cells of one direction and layer.
        projection_size: width of a word's vector and of an LSTM output in one direction.
        num_layers: LSTM layers.
        cell_clip, projection_clip: limits of LSTM cells and outputs; None for none.
        skip_connected: from the second LSTM layer on, the layer's input is added to its output.
        dropout: on each LSTM layer's input and on the top output, while training.
    """

    def __init__(
        self,
        *,
        cell_size: int,
        projection_size: int,
        num_layers: int,
        cell_clip: float | None,
        projection_clip: float | None,
        skip_connected: bool,
        dropout: float,
    ) -> None:
        super().__init__()
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
        self.cell_size, self.projection_size = cell_size, projection_size
        self.skip_connected = skip_connected
        self.dropout = dropout

    def lstm_layers(self) -> list[LstmLayer]:
        """The layers, from the bottom up."""
        return [layer for layer in self.layers if isinstance(layer, LstmLayer)]

    def zero_state(self, num_rows: int) -> list[State]:
        """For each LSTM layer, zeros of (2, rows, projection) and (2, rows, cells)."""
        return [layer.zero_state(num_rows) for layer in self.lstm_layers()]

    def run_packed(
        self,
        vectors_UP: Tensor,
        ids_DN: Tensor,
        batch_sizes: Sequence[int],
        state: Sequence[State] | None = None,
    ) -> tuple[list[Tensor], list[State]]:
        """Run packed sequences (see `elmo.bilm.lstm`).

        Args:
            vectors_UP: the vectors of the distinct types.
            ids_DN: of each packed token, in each direction's reading order, its row in `vectors_UP`.
            batch_sizes: rows alive at each step.
            state: of each LSTM layer for `batch_sizes[0]` rows; None for zeros.

        Returns:
            L tensors (2, N, P), the outputs of each layer in each direction's reading order, the top one with
            dropout; and each row's state after its last step.
        """
        state = self.zero_state(batch_sizes[0]) if state is None else state
        output = F.embedding(ids_DN, vectors_UP)
        layers, last = [output], []
        for index, (layer, before) in enumerate(zip(self.lstm_layers(), state, strict=True)):
            dropped = F.dropout(output, self.dropout, self.training)
            output, after = layer(dropped, batch_sizes, before)
            if index > 0 and self.skip_connected:
                output = output + dropped
            layers.append(output)
            last.append(after)
        layers[-1] = F.dropout(output, self.dropout, self.training)
        return layers, last

    def run_sentences(
        self, vectors_UP: Tensor, ids_BT: Tensor, lengths_B: Tensor, state: Sequence[State] | None = None
    ) -> tuple[Tensor, list[State]]:
        """Run whole sentences, markers included, whatever their order and lengths.

        Args:
            vectors_UP: the vectors of the distinct types.
            ids_BT: the row of each token; beyond a sentence's length the value does not matter.
            lengths_B: tokens of each sentence, markers included, at least 1.
            state: of each LSTM layer, row r for sentence r; None for zeros.

        Returns:
            (L, B, T, 2 P) vectors, zero beyond each sentence, and the state after each sentence.
        """
        packing = Packing(lengths_B)
        if state is not None:
            state = [(h[:, packing.order], c[:, packing.order]) for h, c in state]
        layers, last = self.run_packed(vectors_UP, packing.pack(ids_BT), packing.batch_sizes, state)
        vectors = torch.stack([packing.unpack(layer) for layer in layers])
        back = packing.order.argsort()
        return vectors, [(h[:, back], c[:, back]) for h, c in last]


class Packing:
    """Where the tokens of a padded batch of sentences lie on the packed axis, in both reading directions.

    Args:
        lengths_B: tokens of each sentence, at least 1.
    """

    def __init__(self, lengths_B: Tensor) -> None:
        self.lengths = lengths_B
        self.order = torch.argsort(lengths_B, descending=True, stable=True)
        steps = torch.arange(int(lengths_B.max()), device=lengths_B.device)
        alive_TB = steps[:, None] < lengths_B[self.order]
        self.batch_sizes: list[int] = alive_TB.sum(dim=1).tolist()
        step, row = alive_TB.nonzero(as_tuple=True)
        row = self.order[row]
        self._rows_N = row
        self._columns_DN = torch.stack([step, lengths_B[row] - 1 - step])

    def pack(self, values_BT: Tensor) -> Tensor:
        """(B, T) -> (2, N), the second direction reversed within each sentence."""
        return values_BT[self._rows_N, self._columns_DN]

    def unpack(self, values_DNP: Tensor) -> Tensor:
        """(2, N, P) in reading order -> (B, T, 2 P) in the text's, directions side by side, zero padded."""
        _, N, P = values_DNP.shape
        padded = values_DNP.new_zeros(len(self.lengths), len(self.batch_sizes), 2, P)
        direction = torch.arange(2, device=values_DNP.device)[:, None].expand(2, N)
        padded[self._rows_N.expand(2, N), self._columns_DN, direction] = values_DNP
        return padded.flatten(2)
