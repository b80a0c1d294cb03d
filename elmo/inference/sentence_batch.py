"""Padded sentences as a biLM takes them: distinct types, and the type of each token, markers included.

Shape legend: L layers, B sentences, W words of the longest one, T = W + 2 with its two markers, U distinct
types, C characters, P projection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from elmo.inference.word_cache import type_inputs
from elmo.io.loading import Encoder
from elmo.text.characters import BEGIN_TYPE, END_TYPE, NUM_MARKERS, TypeTable
from elmo.text.distinct_words import DistinctWords


class SentenceBatch(NamedTuple):
    """Sentences on an encoder's device; their first two types are the markers.

    Attributes:
        types: of each distinct type its characters (U, C), or its row in a table of words (U,).
        ids_BT: the type of each token, markers included.
        lengths: (B,) words.
    """

    types: Tensor
    ids_BT: Tensor
    lengths: Tensor

    @classmethod
    def from_words(cls, sentences: Sequence[Sequence[str]], encoder: Encoder) -> SentenceBatch:
        """Tokenized sentences, of any lengths."""
        distinct = DistinctWords(sentences)
        table = TypeTable.from_words(distinct.words)
        types = type_inputs(encoder, table, np.arange(len(table)))
        places_BW, lengths = distinct.places_ST.to(types.device), distinct.lengths.to(types.device)
        return cls.from_places(types, places_BW, lengths)

    @classmethod
    def from_places(cls, types: Tensor, places_BW: Tensor, lengths: Tensor) -> SentenceBatch:
        """From the distinct types, markers first, and each word's place behind them, counted from 1."""
        ids_BT = places_BW.new_full((len(lengths), places_BW.shape[1] + NUM_MARKERS), BEGIN_TYPE)
        ids_BT[:, 1:-1] = places_BW + (NUM_MARKERS - 1)
        ids_BT.scatter_(1, lengths[:, None] + 1, END_TYPE)
        return cls(types, ids_BT, lengths)

    def run(self, encoder: Encoder) -> Tensor:
        """(L, B, T, 2 P), zero behind each sentence's second marker; an empty sentence has its two."""
        B, T = self.ids_BT.shape
        if not B:
            return torch.zeros(
                encoder.num_layers, 0, T, 2 * encoder.projection_size, device=self.ids_BT.device
            )
        vectors: Tensor = encoder(self.types, self.ids_BT, self.lengths + NUM_MARKERS)[0]
        return vectors
