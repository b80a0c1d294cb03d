"""The ELMo encoder: a character CNN below LSTM layers in both directions (Peters et al. 2018, section 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from elmo.bilm.bilm import BiLm
from elmo.bilm.char_cnn import CharCnn
from elmo.bilm.lstm import BiLstm
from elmo.errors import InputError
from elmo.registry import REGISTRY


@REGISTRY.register("encoder", "char_cnn_lstm")
class CharCnnLstm(BiLm):
    """Contextual word vectors from characters; the defaults are the published `original` size.

    Layer 0 is the CNN's vector, repeated for both directions; layer k is the concatenation of the forward and
    the backward output of LSTM layer k. The directions share only the CNN.

    Args:
        character_embedding_size: size of a character's vector.
        filters: [width, number] of each convolution.
        num_highways: number of highway layers after the convolutions.
        activation: relu or tanh, after the convolutions.
        cell_size: number of LSTM cells per direction and layer.
        projection_size: size of the CNN's output and of an LSTM output in one direction.
        num_layers: number of LSTM layers.
        cell_clip, projection_clip: largest absolute value of LSTM cells and outputs; None: no limit.
        skip_connected: from the second LSTM layer on, the layer's input is added to its output.
        dropout: on each LSTM layer's input and on the top output, during training.
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
        smallest = {
            "character_embedding_size": (character_embedding_size, 1),
            "num_highways": (num_highways, 0),
            "cell_size": (cell_size, 1),
            "projection_size": (projection_size, 1),
            "num_layers": (num_layers, 1),
        }
        _check_sizes(smallest=smallest, cell_size=cell_size, projection_size=projection_size, dropout=dropout)
        _check_clips(cell_clip=cell_clip, projection_clip=projection_clip)
        words = CharCnn(
            embedding_size=character_embedding_size,
            filters=filters,
            num_highways=num_highways,
            projection_size=projection_size,
            activation=activation,
        )
        context = BiLstm(
            cell_size=cell_size,
            projection_size=projection_size,
            num_layers=num_layers,
            cell_clip=cell_clip,
            projection_clip=projection_clip,
            skip_connected=skip_connected,
            dropout=dropout,
        )
        super().__init__(words=words, context=context)


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
