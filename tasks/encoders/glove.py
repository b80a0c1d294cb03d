"""Pretrained word vectors: GloVe, or any text file of words and numbers.

Shape legend: S sentences, T words of the longest one, U distinct words, P size of a vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from elmo.errors import InputError
from elmo.registry import REGISTRY
from elmo.text.characters import number_words
from elmo.values import Count, Size
from tasks.encoders.token_encoder import TokenEncoder, padded_vectors
from tasks.encoders.word_vector_file import (
    WordVectorTable,
    check_file,
    check_package,
    read_packaged_vectors,
    read_word_vectors,
)

_UNSEEN = -1  # the row of a word that is not in the table


@REGISTRY.register("encoder", "glove")
class GloveEncoder(TokenEncoder):
    """A table of word vectors, looked up by the word, then by its lower case; unknown words are zero.

    Zeros are as good as the mean of all vectors: simple classifiers on TREC and SST-2, with the whole table
    and with its first 20,000 words, were not better with the mean.

    A saved model has the whole table, so that it also knows words that are not in its training text.

    Args:
        path: a text file, plain or gzip; None: glove.6B with 50 dimensions, from the extra `glove`.
        max_words: number of lines of the table to use; None: all.
        size: size of a vector; None: as in the table. It is set in a saved model.
        trainable: train the vectors of words in the training text; the others stay fixed.
    """

    num_layers, is_contextual = 1, False
    fixed: Tensor

    def __init__(
        self,
        *,
        path: Path | None = None,
        max_words: Count | None = None,
        size: Size | None = None,
        trainable: bool = False,
    ) -> None:
        super().__init__()
        self.path = None if path is None else path.expanduser()
        self.max_words, self.trainable = max_words, trainable
        self.size = size or 0  # 0: unknown until the table is read
        self._rows: dict[str, int] = {}

    def check(self) -> None:
        if self.path is None:
            check_package()
        else:
            check_file(self.path)

    def learn_words(self, counts: Mapping[str, int]) -> None:
        table = self._read()
        if self.size not in (0, table.vectors.shape[1]):
            raise InputError(
                f"encoder.size: expected null or {table.vectors.shape[1]}, as the table has, got {self.size}"
            )
        self.size = table.vectors.shape[1]
        vectors = torch.from_numpy(table.vectors)
        self._number(table.words)
        rows = sorted({self._row(word) for word in counts} - {_UNSEEN}) if self.trainable else []
        is_trained = torch.zeros(len(vectors), dtype=torch.bool)
        is_trained[rows] = True
        self._take(trained=vectors[rows], fixed=vectors[~is_trained])
        self._number([table.words[row] for row in [*rows, *(~is_trained).nonzero()[:, 0].tolist()]])

    def constants(self) -> set[str]:
        return {"fixed"}

    def word_lists(self) -> dict[str, list[str]]:
        words, num_trained = list(self._rows), len(self.trained)
        return {"trained": words[:num_trained], "fixed": words[num_trained:]}

    def restore_words(self, lists: Mapping[str, Sequence[str]]) -> None:
        trained, fixed = lists["trained"], lists["fixed"]
        self._number([*trained, *fixed])
        self._take(trained=torch.empty(len(trained), self.size), fixed=torch.empty(len(fixed), self.size))

    def saved_node(self, node: Mapping[str, Any]) -> dict[str, Any]:
        return {**node, "size": self.size}

    def forward(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        numbered = number_words(sentences)
        rows_U = torch.tensor([self._row(word) for word in numbered.words], dtype=torch.long)
        num_trained = len(self.trained)
        is_fixed, is_trained = rows_U >= num_trained, (rows_U >= 0) & (rows_U < num_trained)
        vectors_UP = self.fixed.new_zeros(len(rows_U), self.size)
        vectors_UP[is_fixed] = self.fixed[rows_U[is_fixed] - num_trained]
        vectors_UP[is_trained] = self.trained[rows_U[is_trained]]
        return padded_vectors(vectors_UP, numbered)[None]

    def _read(self) -> WordVectorTable:
        if self.path is None:
            return read_packaged_vectors(max_words=self.max_words)
        return read_word_vectors(self.path, max_words=self.max_words)

    def _row(self, word: str) -> int:
        row = self._rows.get(word)
        return self._rows.get(word.lower(), _UNSEEN) if row is None else row

    def _number(self, words: Sequence[str]) -> None:
        self._rows = {word: row for row, word in enumerate(words)}

    def _take(self, *, trained: Tensor, fixed: Tensor) -> None:
        self.trained = nn.Parameter(trained, requires_grad=self.trainable)
        self.register_buffer("fixed", fixed)
