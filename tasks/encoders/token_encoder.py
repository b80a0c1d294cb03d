"""What gives the words of sentences their vectors, whether it reads letters, looks words up or runs a biLM.

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
    """Layers of vectors for the words of tokenized sentences.

    What it has to know of a training text's words comes by `learn_words` before training, and by
    `restore_words` when a saved model is read; parameters whose shape depends on words exist only then.

    Attributes:
        num_layers: L.
        size: P.
        is_contextual: whether a word's vector depends on the rest of its sentence.
    """

    num_layers: int
    size: int
    is_contextual: bool

    @abstractmethod
    def forward(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        """(L, S, T, P) on the parameters' device, zero behind each sentence; an empty sentence is allowed."""

    def check(self) -> None:  # most need nothing
        """Raises InputError, with the config key, when what the encoder starts from is not there."""

    def learn_words(self, counts: Mapping[str, int]) -> None:  # most learn none
        """Take note of the words of the training text and of how often each occurs."""

    def word_lists(self) -> dict[str, list[str]]:
        """The lists of words that a saved model needs beside its weights, by a name of their own."""
        return {}

    def restore_words(self, lists: Mapping[str, Sequence[str]]) -> None:
        """Take back what `word_lists` gave."""

    def saved_node(self, node: Mapping[str, Any]) -> dict[str, Any]:
        """The config node of a saved model, from the one that this was built from; it needs no other file."""
        return dict(node)


def padded_vectors(vectors_UP: Tensor, numbered: NumberedWords) -> Tensor:
    """The vectors of distinct words -> (S, T, P), each where its word occurs, zero behind each sentence."""
    places_ST = np.zeros((len(numbered.lengths), int(numbered.lengths.max(initial=0))), dtype=np.int64)
    inside_ST = np.arange(places_ST.shape[1]) < numbered.lengths[:, None]
    places_ST[inside_ST] = numbered.type_ids - NUM_MARKERS + 1
    with_zeros = torch.cat([vectors_UP.new_zeros(1, vectors_UP.shape[1]), vectors_UP])
    return F.embedding(torch.from_numpy(places_ST).to(vectors_UP.device), with_zeros)
