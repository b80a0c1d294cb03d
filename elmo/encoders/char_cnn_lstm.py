"""The ELMo encoder: a character CNN below LSTM layers in both directions (Peters et al. 2018, section 3).

Shape legend: L layers with the CNN's as layer 0, D = 2 directions, N packed tokens, P projection, U distinct
types, C characters, B sentences, T tokens of the longest sentence with its two markers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elmo.char_cnn import CharCnn
from elmo.errors import InputError
from elmo.lstm import LstmLayer, State
from elmo.registry import REGISTRY


@REGISTRY.register("encoder", "char_cnn_lstm")
class CharCnnLstm(nn.Module):
    """Contextual word vectors from characters; the defaults are the published `original` size.

    Layer 0 is the CNN's vector twice, layer k the two directions' outputs of LSTM layer k side by side. The
    directions share the CNN and nothing else. State is an argument: without one, every call starts from
    zeros.

    Args:
        character_embedding_size: values of a character's vector.
        filters: [width, number] of each convolution.
        num_highways: highway layers after the convolutions.
        activation: relu or tanh, after the convolutions.
        cell_size: LSTM cells of one direction and layer.
        projection_size: width of the CNN's output and of an LSTM output in one direction.
        num_layers: LSTM layers.
        cell_clip, projection_clip: limits of LSTM cells and outputs; None for none.
        skip_connected: from the second LSTM layer on, the layer's input is added to its output.
        dropout: on each LSTM layer's input and on the top output, while training.
    """

    def __init__(
        self,
        *,
        character_embedding_size: int = 16,
        filters: Sequence[Sequence[int]] = (
            (1, 32),
            (2, 32),
            (3, 64),
            (4, 128),
            (5, 256),
            (6, 512),
            (7, 1024),
        ),
        num_highways: int = 2,
        activation: str = "relu",
        cell_size: int = 4096,
        projection_size: int = 512,
        num_layers: int = 2,
        cell_clip: float | None = 3.0,
        projection_clip: float | None = 3.0,
        skip_connected: bool = True,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        smallest = {
            "character_embedding_size": (character_embedding_size, 1),
            "num_highways": (num_highways, 0),
            "cell_size": (cell_size, 1),
            "projection_size": (projection_size, 1),
            "num_layers": (num_layers, 1),
        }
        _check_sizes(smallest=smallest, cell_size=cell_size, projection_size=projection_size, dropout=dropout)
        _check_clips(cell_clip=cell_clip, projection_clip=projection_clip)
        self.char_cnn = CharCnn(
            embedding_size=character_embedding_size,
            filters=filters,
            num_highways=num_highways,
            projection_size=projection_size,
            activation=activation,
        )
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

    @property
    def widest_filter(self) -> int:
        """Characters of padding that a cropped row of characters must keep."""
        return self.char_cnn.widest_filter

    @property
    def num_layers(self) -> int:
        """Layers of vectors that come out: the CNN's and one for each LSTM layer."""
        return len(self.layers) + 1

    def zero_state(self, num_rows: int) -> list[State]:
        """For each LSTM layer, zeros of (2, rows, projection) and (2, rows, cells)."""
        return [layer.zero_state(num_rows) for layer in self._lstm_layers()]

    def run_packed(
        self,
        characters_UC: Tensor,
        ids_DN: Tensor,
        batch_sizes: Sequence[int],
        state: Sequence[State] | None = None,
    ) -> tuple[list[Tensor], list[State]]:
        """Run packed sequences (see `elmo.lstm`); the CNN runs once for each distinct type.

        Args:
            characters_UC: character rows of the distinct types.
            ids_DN: of each packed token, in each direction's reading order, its row in `characters_UC`.
            batch_sizes: rows alive at each step.
            state: of each LSTM layer for `batch_sizes[0]` rows; None for zeros.

        Returns:
            L tensors (2, N, P), the outputs of each layer in each direction's reading order, the top one with
            dropout; and each row's state after its last step.
        """
        state = self.zero_state(batch_sizes[0]) if state is None else state
        output = F.embedding(ids_DN, self.char_cnn(characters_UC))
        layers, last = [output], []
        for index, (layer, before) in enumerate(zip(self._lstm_layers(), state, strict=True)):
            dropped = F.dropout(output, self.dropout, self.training)
            output, after = layer(dropped, batch_sizes, before)
            if index > 0 and self.skip_connected:
                output = output + dropped
            layers.append(output)
            last.append(after)
        layers[-1] = F.dropout(output, self.dropout, self.training)
        return layers, last

    def forward(
        self, characters_UC: Tensor, ids_BT: Tensor, lengths_B: Tensor, state: Sequence[State] | None = None
    ) -> tuple[Tensor, list[State]]:
        """Run whole sentences, markers included, whatever their order and lengths.

        Args:
            characters_UC: character rows of the distinct types.
            ids_BT: the row of each token; beyond a sentence's length the value does not matter.
            lengths_B: tokens of each sentence, markers included, at least 1.
            state: of each LSTM layer, row r for sentence r; None for zeros.

        Returns:
            (L, B, T, 2 P) vectors, zero beyond each sentence, and the state after each sentence.
        """
        packing = Packing(lengths_B)
        if state is not None:
            state = [(h[:, packing.order], c[:, packing.order]) for h, c in state]
        layers, last = self.run_packed(characters_UC, packing.pack(ids_BT), packing.batch_sizes, state)
        vectors = torch.stack([packing.unpack(layer) for layer in layers])
        back = packing.order.argsort()
        return vectors, [(h[:, back], c[:, back]) for h, c in last]

    def _lstm_layers(self) -> list[LstmLayer]:
        return [layer for layer in self.layers if isinstance(layer, LstmLayer)]


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


def _check_sizes(
    *, smallest: Mapping[str, tuple[int, int]], cell_size: int, projection_size: int, dropout: float
) -> None:
    for name, (size, least) in smallest.items():
        if size < least:
            raise InputError(f"encoder.{name}: expected at least {least}, got {size}")
    if projection_size > cell_size:
        raise InputError(
            f"encoder.projection_size: expected at most cell_size ({cell_size}), got {projection_size}"
        )
    if not 0 <= dropout < 1:
        raise InputError(f"encoder.dropout: expected at least 0 and less than 1, got {dropout}")


def _check_clips(**clips: float | None) -> None:
    for name, clip in clips.items():
        if clip is not None and not clip > 0:
            raise InputError(f"encoder.{name}: expected more than 0, or null for no limit, got {clip}")
