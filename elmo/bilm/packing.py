"""Sentences of any lengths packed for the LSTM layers, and their words' vectors taken out again: no padding.

Shape legend: S sentences, D = 2 directions, N tokens with markers, M words, P projection.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from elmo.text.characters import BEGIN_TYPE, END_TYPE


class PackedBatch:
    """The packed form (see `elmo.bilm.lstm`) of some sentences, which keep their order outside of it.

    Args:
        sentences: the type ids of each one's words; the markers are added here. At least one sentence.

    Attributes:
        batch_sizes: rows alive at each step.
        ids_DN: type ids in each direction's reading order.
        row_of: (S,) int64, the packed row of each sentence.
    """

    def __init__(self, sentences: Sequence[np.ndarray]) -> None:
        lengths = np.array([len(sentence) + 2 for sentence in sentences])
        self.row_of = np.empty(len(sentences), dtype=np.int64)
        self.row_of[np.argsort(-lengths, kind="stable")] = np.arange(len(sentences))
        alive_from = np.bincount(lengths)  # sentences that end before step t, for each t
        sizes = len(sentences) - np.cumsum(alive_from)[:-1]
        self.batch_sizes: list[int] = sizes.tolist()
        starts = np.cumsum([0, *self.batch_sizes[:-1]])

        step = np.concatenate([np.arange(length) for length in lengths])
        last = np.repeat(lengths - 1, lengths)
        row = np.repeat(self.row_of, lengths)
        positions = np.stack([starts[step] + row, starts[last - step] + row])
        ids = np.concatenate([part for sentence in sentences for part in (_BEGIN, sentence, _END)])
        packed = np.empty_like(positions)
        np.put_along_axis(packed, positions, ids[None].repeat(2, axis=0), axis=1)
        self.ids_DN = torch.from_numpy(packed)
        self._positions_DM = torch.from_numpy(positions[:, (step > 0) & (step < last)])

    def spans(self, max_tokens: int) -> Iterator[tuple[slice, list[int]]]:
        """The packed axis in pieces of at most `max_tokens`, or of one step; each with its batch sizes."""
        start, begin, tokens = 0, 0, 0
        for step, size in enumerate(self.batch_sizes):
            if step > begin and tokens + size > max_tokens:
                yield slice(start, start + tokens), self.batch_sizes[begin:step]
                start, begin, tokens = start + tokens, step, 0
            tokens += size
        yield slice(start, start + tokens), self.batch_sizes[begin:]

    def words(self, layer_DNP: Tensor) -> Tensor:
        """(2, N, P) in reading order -> (M, 2 P): the words of all sentences, one after the other."""
        positions = self._positions_DM.to(layer_DNP.device)
        return torch.cat([layer_DNP[0][positions[0]], layer_DNP[1][positions[1]]], dim=1)


_BEGIN, _END = np.array([BEGIN_TYPE]), np.array([END_TYPE])
