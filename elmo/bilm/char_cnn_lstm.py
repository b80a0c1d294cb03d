"""The ELMo encoder: a character CNN below LSTM layers in both directions (Peters et al. 2018, section 3)."""

from __future__ import annotations

from typing import Annotated

from elmo.bilm.bilm import BiLm
from elmo.bilm.char_cnn import CharCnn, Filters
from elmo.bilm.lstm import BiLstm
from elmo.errors import InputError
from elmo.registry import REGISTRY
from elmo.values import Depth, Dropout, Positive, Range, Size


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
        variational: one dropout mask for all tokens of a row, also on the recurrent connections (Gal and
            Ghahramani 2016); otherwise each token has its own, and recurrent connections have none.
    """

    def __init__(
        self,
        *,
        character_embedding_size: Size = 16,
        filters: Filters = (
            (1, 32),
            (2, 32),
            (3, 64),
            (4, 128),
            (5, 256),
            (6, 512),
            (7, 1024),
        ),
        num_highways: Annotated[int, Range(0, 100)] = 2,
        activation: str = "relu",
        cell_size: Size = 4096,
        projection_size: Size = 512,
        num_layers: Depth = 2,
        cell_clip: Positive | None = 3.0,
        projection_clip: Positive | None = 3.0,
        skip_connected: bool = True,
        dropout: Dropout = 0.1,
        variational: bool = False,
    ) -> None:
        if projection_size > cell_size:
            raise InputError(
                f"encoder.projection_size: expected at most cell_size ({cell_size}), got {projection_size}"
            )
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
            variational=variational,
        )
        super().__init__(words=words, context=context)
