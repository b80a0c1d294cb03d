"""The distinct words of some sentences: what is computed of a word is computed once.

Shape legend: S sentences, T words of the longest one, U distinct words, P size of a vector.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


class DistinctWords:
    """Words in the order of their first appearance, and the place of each.

    Attributes:
        words: U of them.
        lengths: (S,) words of each sentence.
        places_ST: for each word of a sentence 1 + its index in `words`; 0 behind the sentence.
    """

    def __init__(self, sentences: Sequence[Sequence[str]]) -> None:
        distinct = dict.fromkeys(word for sentence in sentences for word in sentence)
        place_of = {word: place for place, word in enumerate(distinct, start=1)}
        self.words = list(place_of)
        lengths = [len(sentence) for sentence in sentences]
        self.lengths = torch.tensor(lengths, dtype=torch.long)
        self.places_ST = torch.zeros(len(lengths), max(lengths, default=0), dtype=torch.long)
        is_word = torch.arange(self.places_ST.shape[1]) < self.lengths[:, None]
        flat = [place_of[word] for sentence in sentences for word in sentence]
        self.places_ST[is_word] = torch.tensor(flat, dtype=torch.long)

    def spread(self, vectors_UP: Tensor) -> Tensor:
        """The vectors of the distinct words -> (S, T, P), each in its places, zero behind each sentence."""
        with_zeros = torch.cat([vectors_UP.new_zeros(1, vectors_UP.shape[1]), vectors_UP])
        return F.embedding(self.places_ST.to(vectors_UP.device), with_zeros)
