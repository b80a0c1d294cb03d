"""Padded sentences for a biLM that may be trained: distinct types, and each token's type, markers included.

Shape legend: L layers, B sentences, W words of the longest one, T = W + 2 with its two markers, U distinct
types, C characters, P projection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from elmo.bilm.bilm import BiLm
from elmo.text.characters import BEGIN_TYPE, END_TYPE, NUM_MARKERS, TypeTable, number_words


class SentenceBatch(NamedTuple):
    """A batch of sentences on a biLM's device; its first two types are the markers.

    Attributes:
        types: the word layer's input for each distinct type: (U, C) characters, or (U,) rows of a table.
        ids_BT: the type of each token, markers included.
        lengths: (B,) number of words.
    """

    types: Tensor
    ids_BT: Tensor
    lengths: Tensor

    @classmethod
    def from_words(cls, sentences: Sequence[Sequence[str]], bilm: BiLm) -> SentenceBatch:
        """The batch of tokenized sentences of any lengths."""
        numbered = number_words(sentences)
        table = TypeTable.from_words(numbered.words)
        types_BW = torch.zeros(len(sentences), int(numbered.lengths.max(initial=0)), dtype=torch.long)
        lengths = torch.from_numpy(numbered.lengths)
        types_BW[torch.arange(types_BW.shape[1]) < lengths[:, None]] = torch.from_numpy(numbered.type_ids)
        device = next(bilm.parameters()).device
        types = bilm.words.read(table, np.arange(len(table)))
        return cls.from_types(types.to(device), types_BW.to(device), lengths.to(device))

    @classmethod
    def from_types(cls, types: Tensor, types_BW: Tensor, lengths: Tensor) -> SentenceBatch:
        """The batch of the distinct types, markers first, and the type of each word."""
        ids_BT = types_BW.new_full((len(lengths), types_BW.shape[1] + NUM_MARKERS), BEGIN_TYPE)
        ids_BT[:, 1:-1] = types_BW
        ids_BT.scatter_(1, lengths[:, None] + 1, END_TYPE)
        return cls(types, ids_BT, lengths)

    def run(self, bilm: BiLm) -> Tensor:
        """(L, B, T, 2 P) vectors, starting from the biLM's start state; zero in the padding.

        An empty sentence consists of its two markers.
        """
        B, T = self.ids_BT.shape
        if not B:
            return torch.zeros(bilm.num_layers, 0, T, 2 * bilm.projection_size, device=self.ids_BT.device)
        vectors: Tensor = bilm(self.types, self.ids_BT, self.lengths + NUM_MARKERS)[0]
        return vectors
