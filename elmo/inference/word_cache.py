"""An LRU cache for the vectors of the word layer.

Shape legend: U distinct words, P projection.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from elmo.bilm.bilm import BiLm
from elmo.text.characters import MAX_CHARACTERS, NUM_MARKERS, TypeTable

_WORDS_AT_ONCE = 64  # bounds the memory of the convolutions' output: words x characters x filters


class WordCache:
    """The word layer's vectors of words and of the two markers, without a gradient, cached (LRU).

    Args:
        bilm: its parameters must not change any more.
        capacity: number of words in the cache; memory for all of them is allocated at once.
        dtype: float32 or bfloat16, of the matrix products.
    """

    def __init__(self, bilm: BiLm, *, capacity: int, dtype: torch.dtype) -> None:
        self._layer = bilm.words
        self._dtype = dtype
        self._device = next(bilm.parameters()).device
        self._table = torch.full((capacity, bilm.projection_size), 0.0, device=self._device)
        self._rows: OrderedDict[str, int] = OrderedDict()
        self._markers: Tensor | None = None

    def __call__(self, words: Sequence[str]) -> Tensor:
        """(2 + U, P) float32: the vectors of the two markers, then of `words`, which must be distinct."""
        if self._markers is None:
            self._markers = self._compute([])
        # the CNN never reads more characters, and a word may be a megabyte long
        reads_characters = self._layer.vocabulary is None
        keys = [word[: MAX_CHARACTERS - 2] for word in words] if reads_characters else list(words)
        vectors = torch.empty(NUM_MARKERS + len(keys), self._table.shape[1], device=self._device)
        vectors[:NUM_MARKERS] = self._markers
        rows = [self._rows.get(key, -1) for key in keys]
        known = [index for index, row in enumerate(rows) if row >= 0]
        new = [index for index, row in enumerate(rows) if row < 0]
        vectors[self._places(known)] = self._table[self._index([rows[index] for index in known])]
        for index in known:
            self._rows.move_to_end(keys[index])
        if new:
            computed = self._compute([keys[index] for index in new])[NUM_MARKERS:]
            vectors[self._places(new)] = computed
            self._keep([keys[index] for index in new], computed)
        return vectors

    def _places(self, indices: list[int]) -> Tensor:
        return self._index(indices) + NUM_MARKERS

    def _index(self, values: list[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.long, device=self._device)

    def _keep(self, keys: list[str], vectors: Tensor) -> None:
        kept = keys[: len(self._table)]
        for key in kept:
            if key not in self._rows:  # words that only differ after the cut have the same key
                full = len(self._rows) == len(self._table)
                self._rows[key] = self._rows.popitem(last=False)[1] if full else len(self._rows)
        self._table[self._index([self._rows[key] for key in kept])] = vectors[: len(kept)]

    def _compute(self, words: Sequence[str]) -> Tensor:
        """(2 + U, P) vectors of the markers and of words; words of similar length need little padding."""
        types = TypeTable.from_words(words)
        order = np.argsort(np.diff(types.offsets), kind="stable")
        vectors = torch.empty(len(types), self._table.shape[1], device=self._device)
        for start in range(0, len(order), _WORDS_AT_ONCE):
            chosen = order[start : start + _WORDS_AT_ONCE]
            with (
                torch.no_grad(),
                torch.autocast(self._device.type, self._dtype, self._dtype != torch.float32),
            ):
                computed = self._layer(self._layer.read(types, chosen).to(self._device))
                vectors[torch.from_numpy(chosen).to(self._device)] = computed.float()
        return vectors
