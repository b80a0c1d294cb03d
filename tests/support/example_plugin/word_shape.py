"""A token encoder: what a word looks like, as capitals, digits and length.

Shape legend: U distinct words, F features, S sentences, T words of the longest one, P size of a vector.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from elmo.registry import REGISTRY
from elmo.text.characters import number_words
from tasks.encoders.token_encoder import TokenEncoder, padded_vectors

NUM_FEATURES = 4


@REGISTRY.register("encoder", "word_shape")
class WordShapeEncoder(TokenEncoder):
    """A linear layer above four features of each word.

    Args:
        size: P.
    """

    num_layers, is_contextual = 1, False

    def __init__(self, *, size: int) -> None:
        super().__init__()
        self.size = size
        self.linear = nn.Linear(NUM_FEATURES, size)

    def forward(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        """(1, S, T, P)."""
        numbered = number_words(sentences)  # each distinct word is computed once
        features_UF = torch.tensor([features(word) for word in numbered.words]).view(-1, NUM_FEATURES)
        vectors_UP = self.linear(features_UF.to(self.linear.weight))
        return padded_vectors(vectors_UP, numbered)[None]


def features(word: str) -> list[float]:
    """Whether a word begins with a capital, is all capitals, has a digit; and its length."""
    return [word[:1].isupper(), word.isupper(), any(map(str.isdigit, word)), len(word) / 10]
