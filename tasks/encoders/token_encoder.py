"""The interface of a token encoder, which computes the vectors of the words of sentences.

Shape legend: L layers, S sentences, T words of the longest one, U distinct words, P size of a vector.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elmo.text.characters import NUM_MARKERS, NumberedWords


class TokenEncoder(nn.Module, ABC):
    """Computes layers of vectors for the words of tokenized sentences.

    An encoder with a table of words gets them from `learn_words` before training, or from `restore_words`
    when a saved model is read; only then do parameters exist whose shape depends on the words.

    Attributes:
        num_layers: L.
        size: P.
        is_contextual: whether a word's vector depends on the rest of its sentence.
        carries_state: whether it also depends on the sentences before it in its text.
    """

    num_layers: int
    size: int
    is_contextual: bool
    carries_state: bool = False

    @abstractmethod
    def forward(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        """(L, S, T, P) on the parameters' device, zero in the padding; a sentence may be empty."""

    def encode_texts(self, texts: Sequence[Sequence[Sequence[str]]]) -> Tensor:
        """(L, S, T, P) vectors of the sentences of all texts, concatenated; zero in the padding."""
        vectors: Tensor = self([sentence for text in texts for sentence in text])
        return vectors

    def check(self) -> None:  # most need nothing
        """InputError, with the config key, if the encoder lacks a model or file to start from."""

    def learn_words(self, counts: Mapping[str, int]) -> None:  # most learn none
        """Build the table of words from the word counts of the training text."""

    def constants(self) -> set[str]:
        """The names of tensors in its state that stay the same while it is trained."""
        return set()

    def word_lists(self) -> dict[str, list[str]]:
        """The word lists that a saved model needs besides its weights, by name."""
        return {}

    def restore_words(self, lists: Mapping[str, Sequence[str]]) -> None:
        """Restore the result of `word_lists`."""

    def saved_node(self, node: Mapping[str, Any]) -> dict[str, Any]:
        """The config node for a saved model, made from the encoder's own: it needs no other file."""
        return dict(node)


def padded_vectors(vectors_UP: Tensor, numbered: NumberedWords) -> Tensor:
    """(U, P) vectors of distinct words -> (S, T, P) vectors of all words, zero in the padding."""
    places_ST = np.zeros((len(numbered.lengths), int(numbered.lengths.max(initial=0))), dtype=np.int64)
    inside_ST = np.arange(places_ST.shape[1]) < numbered.lengths[:, None]
    places_ST[inside_ST] = numbered.type_ids - NUM_MARKERS + 1
    with_zeros = torch.cat([vectors_UP.new_zeros(1, vectors_UP.shape[1]), vectors_UP])
    return F.embedding(torch.from_numpy(places_ST).to(vectors_UP.device), with_zeros)
