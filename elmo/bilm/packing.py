"""Sequences of any lengths without padding: bucketing by length, and the packed axis of both directions.

On the packed axis, rows are sorted by length, longest first, and step t holds the rows that are longer than
t; the steps follow each other. The second direction reads every sequence in reverse, from its own last token.

Shape legend: B sequences, M tokens in the sequences' order, D = 2 directions, N = M packed tokens, P vector
size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor


def bucket_by_length(lengths: Sequence[int] | np.ndarray, max_tokens: int) -> list[list[int]]:
    """Group sequences of similar length: lists of indices, longest first, equal lengths in their order.

    Args:
        lengths: number of tokens of each sequence.
        max_tokens: largest number of tokens in a bucket; a longer sequence gets a bucket of its own.
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    buckets: list[list[int]] = []
    room = 0
    for index in np.argsort(-lengths, kind="stable").tolist():
        length = int(lengths[index])
        if length > room or not buckets:
            buckets.append([])
            room = max_tokens
        buckets[-1].append(index)
        room -= length
    return buckets


class Packing:
    """The positions of the tokens of some sequences on the packed axis, in both reading directions.

    Args:
        lengths: number of tokens of each sequence, at least 1; at least one sequence.
        device: of the indices; the values to pack must be on the same one.

    Attributes:
        batch_sizes: number of rows that have not ended yet, for each step.
        order: (B,) the sequence of each packed row.
        row_of: (B,) the packed row of each sequence.
    """

    def __init__(self, lengths: Sequence[int] | np.ndarray, device: torch.device | None = None) -> None:
        lengths = np.asarray(lengths, dtype=np.int64)
        order = np.argsort(-lengths, kind="stable")
        row_of = np.empty_like(order)
        row_of[order] = np.arange(len(lengths))
        sizes = (
            len(lengths) - np.cumsum(np.bincount(lengths))[:-1]
        )  # without the rows that ended before each step
        starts = np.cumsum(sizes) - sizes
        self._step_M = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        self._last_M = np.repeat(lengths - 1, lengths)
        row_M = np.repeat(row_of, lengths)
        positions_DM = np.stack([starts[self._step_M] + row_M, starts[self._last_M - self._step_M] + row_M])
        sources_DN = np.empty_like(positions_DM)
        np.put_along_axis(sources_DN, positions_DM, np.arange(len(row_M))[None].repeat(2, axis=0), axis=1)
        self.batch_sizes: list[int] = sizes.tolist()
        self.order, self.row_of = (torch.from_numpy(rows).to(device) for rows in (order, row_of))
        self._positions_DM = torch.from_numpy(positions_DM).to(device)
        self._sources_DN = torch.from_numpy(sources_DN).to(device)

    def pack(self, values_M: Tensor) -> Tensor:
        """(M,) values of all tokens in the sequences' order -> (2, N) in each direction's reading order."""
        return values_M[self._sources_DN]

    def unpack(self, values_DNP: Tensor, *, inner: bool = False) -> Tensor:
        """(2, N, P) in reading order -> (M, 2 P), the directions concatenated, tokens in the sequences'
        order.

        Args:
            inner: leave out the first and the last token of each sequence: a sentence's markers.
        """
        positions = self._positions_DM
        if inner:
            is_inner = (self._step_M > 0) & (self._step_M < self._last_M)
            positions = positions[:, torch.from_numpy(is_inner).to(positions.device)]
        return torch.cat([values_DNP[0][positions[0]], values_DNP[1][positions[1]]], dim=1)

    def spans(self, max_tokens: int | None) -> Iterator[tuple[slice, list[int]]]:
        """Split the packed axis into pieces of whole steps, each returned with its batch sizes.

        Args:
            max_tokens: largest number of tokens in a piece, unless a single step has more; None: one piece.
        """
        start, begin, tokens = 0, 0, 0
        for step, size in enumerate(self.batch_sizes):
            if max_tokens is not None and step > begin and tokens + size > max_tokens:
                yield slice(start, start + tokens), self.batch_sizes[begin:step]
                start, begin, tokens = start + tokens, step, 0
            tokens += size
        yield slice(start, start + tokens), self.batch_sizes[begin:]
