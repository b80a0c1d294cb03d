"""The batching of the original training: rows of running text, cut into steps, with a carried LSTM state.

Shape legend: T steps, B rows, D = 2 directions.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import numpy as np

from elmo.errors import InputError
from elmo.registry import REGISTRY
from elmo.text.characters import add_markers
from elmo.values import Size
from tasks.language_model.corpus import Sentences, blocks, with_markers
from tasks.language_model.model import Batch, BatchBuilder
from tasks.language_model.order import Pool, Pools, refuse_outside


@REGISTRY.register("batching", "stream")
class StreamBatching:
    """Each row of a batch has exactly `num_steps` steps; when a row's sentence ends, it continues with the
    next.

    A sentence `<S> w1 ... wn </S>` has the inputs `<S> w1 ... wn` and the targets `w1 ... wn </S>`; the
    backward stream is the same with each sentence reversed. There is no padding, rows continue across
    batches and epochs, and the LSTM state of a row is carried and never reset (the recipe of Peters et al.
    2018).

    Args:
        num_steps: T, number of steps in a batch.
        batch_size: B, number of rows.
    """

    carries_state = True
    most_words: int | None = None  # of a sentence

    def __init__(self, *, num_steps: Size, batch_size: Size) -> None:
        self.num_steps = num_steps
        self.num_rows = batch_size

    @property
    def tokens_per_batch(self) -> int:
        """Number of predictions per direction."""
        return self.num_steps * self.num_rows

    def training_batches(self, pools: Pools, builder: BatchBuilder) -> StreamBatches:
        """An endless iterator over training batches that can be resumed."""
        return StreamBatches(pools=pools, builder=builder, num_steps=self.num_steps, num_rows=self.num_rows)

    def evaluation_batches(self, corpus: Sentences, builder: BatchBuilder) -> Iterator[Batch]:
        """Every token of a corpus once, in rows of running text; each block starts with a new state.

        Rows differ in length: when the shorter ones end, batches have fewer rows.
        """
        for sentences in blocks(corpus):
            rows = _fill_rows(sentences, min(self.num_rows, len(sentences)))
            for start in range(0, len(rows[0][0]), self.num_steps):
                span = slice(start, start + self.num_steps)
                alive = [row[:, span] for row in rows if row.shape[1] > start]
                lengths = np.array([row.shape[1] for row in alive])
                batch_sizes = [int((lengths > step).sum()) for step in range(lengths[0])]
                packed = [row[:, step] for step, size in enumerate(batch_sizes) for row in alive[:size]]
                values = np.stack(packed, axis=1)
                yield builder.build(values[0::2], values[1::2], batch_sizes, carried=start > 0)


class StreamBatches:
    """The iterator of `StreamBatching`; its state is a position and the rest of each row's sentence.

    What is to be read stands in one buffer: the rests of the rows' sentences, then the sentences of a pool in
    their order. A row takes sentences that follow each other, so that its part of a batch is two ranges of
    the buffer: its rest, and what it takes.
    """

    def __init__(self, *, pools: Pools, builder: BatchBuilder, num_steps: int, num_rows: int) -> None:
        self.pools, self.builder = pools, builder
        self.num_steps, self.num_rows = num_steps, num_rows
        self._started = False
        self._pool_start = pools.state_dict()
        self._ends: list[int] = []  # of the pool's sentences, in the buffer
        self._taken = 0  # of them
        self._is_new = False  # whether a pool was opened, and the buffer begins with what was read before
        self._buffer = np.empty((4, 0), dtype=np.int32)
        self._starts, self._stops = [0] * num_rows, [0] * num_rows  # of the rests, in the buffer

    def __iter__(self) -> StreamBatches:
        return self

    def __next__(self) -> Batch:
        rest_starts_B = np.array(self._starts)
        rests_B = np.array(self._stops) - rest_starts_B
        taken_from_B = np.array([self._advance(row) for row in range(self.num_rows)])
        step_T1 = np.arange(self.num_steps)[:, None]
        positions_TB = step_T1 + np.where(step_T1 < rests_B, rest_starts_B, taken_from_B - rests_B)
        values_DTB = self._buffer[:, positions_TB]
        inputs, targets = values_DTB[0::2].reshape(2, -1), values_DTB[1::2].reshape(2, -1)
        self._drop_old_pools()
        batch = self.builder.build(inputs, targets, [self.num_rows] * self.num_steps, carried=self._started)
        self._started = True
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Everything that determines the next batches."""
        return {
            "pool": self._pool_start,
            "taken": self._taken,
            "rows": self._rests(),
            "started": self._started,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue after the batch at which `state_dict` was called."""
        rows = [np.asarray(row) for row in state["rows"]]
        for row in rows:
            if len(row) != 4 or (row.size and not 0 <= row.min() <= row.max() < len(self.builder.types)):
                raise InputError("batches.rows: not of this text; the checkpoint is damaged")
        self.pools.load_state_dict(state["pool"])
        self._pool_start, self._started, self._ends = state["pool"], state["started"], []
        self._keep(rows)
        self._taken, self._is_new = 0, False
        if state["taken"]:
            self._open_pool()
        refuse_outside(state["taken"], len(self._ends))
        self._taken = state["taken"]
        self._drop_old_pools()

    def _advance(self, row: int) -> int:
        """Moves a row by a batch's steps; returns where in the buffer it begins with what is not its rest."""
        missing = self.num_steps - (self._stops[row] - self._starts[row])
        if missing <= 0:
            self._starts[row] += self.num_steps
            return 0
        begin = self._ends[self._taken - 1] if self._taken else self._buffer.shape[1]
        while (last := bisect_left(self._ends, begin + missing, self._taken)) == len(self._ends):
            self._open_pool()  # its sentences follow those of the pool that ends here
        self._taken = last + 1
        self._starts[row], self._stops[row] = begin + missing, self._ends[last]
        return begin

    def _open_pool(self) -> None:
        self._pool_start, self._taken = self.pools.state_dict(), 0
        pool = self.pools.next_pool()
        ends = self._buffer.shape[1] + pool.offsets[1:] + np.arange(1, len(pool.offsets))
        self._buffer = np.concatenate([self._buffer, _predictions_of(pool)], axis=1)
        self._ends, self._is_new = ends.tolist(), True

    def _drop_old_pools(self) -> None:
        """Forgets what no row reads any more, once for each pool that was opened."""
        if not self._is_new:
            return
        begin = self._ends[self._taken - 1]
        ahead = self._buffer[:, begin:]
        self._keep(self._rests())
        moved = self._buffer.shape[1] - begin
        self._buffer = np.concatenate([self._buffer, ahead], axis=1)
        self._ends, self._is_new = [end + moved for end in self._ends], False

    def _rests(self) -> list[np.ndarray]:
        """The rest of each row's sentence, (4, length)."""
        return [
            self._buffer[:, start:stop].copy() for start, stop in zip(self._starts, self._stops, strict=True)
        ]

    def _keep(self, rests: list[np.ndarray]) -> None:
        """A buffer of the rests alone."""
        self._buffer = np.concatenate(rests, axis=1)
        lengths = [rest.shape[1] for rest in rests]
        self._stops = list(accumulate(lengths))
        self._starts = [stop - length for stop, length in zip(self._stops, lengths, strict=True)]


def _predictions_of(pool: Pool) -> np.ndarray:
    """(4, N + S): forward input and target, backward input and target of each step of a pool's sentences."""
    lengths_S = np.diff(pool.offsets)
    marked = add_markers(pool.ids_N, lengths_S)
    steps_S = lengths_S + 1
    first_S = pool.offsets[:-1] + 2 * np.arange(len(steps_S))  # each sentence's `<S>` in `marked`
    step = np.arange(int(steps_S.sum())) - np.repeat(np.cumsum(steps_S) - steps_S, steps_S)
    first, last = np.repeat(first_S, steps_S), np.repeat(first_S + steps_S, steps_S)
    return np.stack([marked[at] for at in (first + step, first + step + 1, last - step, last - step - 1)])


def _predictions(sentence: np.ndarray) -> np.ndarray:
    """(4, n + 1): forward input and target, backward input and target of each step of one sentence."""
    forward = with_markers(sentence)
    backward = forward[::-1]
    return np.stack([forward[:-1], forward[1:], backward[:-1], backward[1:]])


def _fill_rows(sentences: list[np.ndarray], num_rows: int) -> list[np.ndarray]:
    """Append each sentence to the currently shortest row; (4, length) for each row, the longest row first."""
    heap = [(0, row) for row in range(num_rows)]
    dealt: list[list[np.ndarray]] = [[] for _ in range(num_rows)]
    for sentence in sentences:
        length, row = heapq.heappop(heap)
        dealt[row].append(_predictions(sentence))
        heapq.heappush(heap, (length + len(sentence) + 1, row))
    return sorted((np.concatenate(row, axis=1) for row in dealt), key=lambda row: -row.shape[1])
