"""Word vectors from characters, trained with the task: ELMo's character CNN without the layers above it.

Shape legend: S sentences, T words of the longest one, U distinct words, P size of a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from torch import Tensor

from elmo.bilm.char_cnn import CharCnn, Filters
from elmo.registry import REGISTRY
from elmo.text.characters import NUM_MARKERS, TypeTable, number_words
from elmo.values import Range, Size
from tasks.encoders.token_encoder import TokenEncoder, padded_vectors


@REGISTRY.register("encoder", "char_cnn")
class CharCnnEncoder(TokenEncoder):
    """Computes a vector for any word from its first 48 bytes.

    Args:
        character_embedding_size: size of a character's vector.
        filters: [width, number] of each convolution.
        num_highways: number of highway layers after the convolutions.
        activation: relu or tanh, after the convolutions.
        projection_size: size of a word's vector.
    """

    num_layers, is_contextual = 1, False

    def __init__(
        self,
        *,
        character_embedding_size: Size = 16,
        filters: Filters = ((1, 16), (2, 16), (3, 32), (4, 64), (5, 128)),
        num_highways: Annotated[int, Range(0, 100)] = 1,
        activation: str = "relu",
        projection_size: Size = 128,
    ) -> None:
        super().__init__()
        self.size = projection_size
        self.char_cnn = CharCnn(
            embedding_size=character_embedding_size,
            filters=filters,
            num_highways=num_highways,
            projection_size=projection_size,
            activation=activation,
        )

    def forward(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        numbered = number_words(sentences)
        types = TypeTable.from_words(numbered.words)
        rows = np.arange(NUM_MARKERS, len(types))
        characters_UC = self.char_cnn.read(types, rows).to(self.char_cnn.embedding.device)
        return padded_vectors(self.char_cnn(characters_UC), numbered)[None]
