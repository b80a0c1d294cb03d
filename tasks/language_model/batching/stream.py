"""The batching of the original training: rows of running text, cut into steps, with a carried LSTM state.

Shape legend: T steps, B rows, D = 2 directions.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any

import numpy as np

from elmo.errors import InputError
from elmo.registry import REGISTRY
from elmo.values import Size
from tasks.language_model.corpus import Sentences, ShuffledWindows, blocks, refuse_outside, with_markers
from tasks.language_model.model import Batch, BatchBuilder


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

    def training_batches(self, windows: ShuffledWindows, builder: BatchBuilder) -> StreamBatches:
        """An endless iterator over training batches that can be resumed."""
        return StreamBatches(
            windows=windows, builder=builder, num_steps=self.num_steps, num_rows=self.num_rows
        )

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
    """The iterator of `StreamBatching`; its state is a position and the rest of each row's sentence."""

    def __init__(
        self, *, windows: ShuffledWindows, builder: BatchBuilder, num_steps: int, num_rows: int
    ) -> None:
        self.windows, self.builder = windows, builder
        self.num_steps, self.num_rows = num_steps, num_rows
        self._window_start = windows.state_dict()
        self._window: list[np.ndarray] = []
        self._taken = 0
        self._rows: list[np.ndarray] = [np.empty((4, 0), dtype=np.int64)] * num_rows  # rest of the sentences
        self._started = False

    def __iter__(self) -> StreamBatches:
        return self

    def __next__(self) -> Batch:
        values_DTB = np.empty((4, self.num_steps, self.num_rows), dtype=np.int64)
        for row in range(self.num_rows):
            self._fill_row(row, values_DTB[:, :, row])
        inputs, targets = values_DTB[0::2].reshape(2, -1), values_DTB[1::2].reshape(2, -1)
        batch = self.builder.build(inputs, targets, [self.num_rows] * self.num_steps, carried=self._started)
        self._started = True
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Everything that determines the next batches."""
        return {
            "window": self._window_start,
            "taken": self._taken,
            "rows": list(self._rows),
            "started": self._started,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue after the batch at which `state_dict` was called."""
        self.windows.load_state_dict(state["window"])
        self._window_start, self._taken = state["window"], state["taken"]
        self._window = self.windows.next_window() if self._taken else []
        refuse_outside(self._taken, len(self._window))
        self._rows = [np.asarray(row) for row in state["rows"]]
        for row in self._rows:
            if len(row) != 4 or (row.size and not 0 <= row.min() <= row.max() < len(self.builder.types)):
                raise InputError("batches.rows: not of this text; the checkpoint is damaged")
        self._started = state["started"]

    def _fill_row(self, row: int, values_DT: np.ndarray) -> None:
        filled = 0
        left = self._rows[row]
        while filled < self.num_steps:
            if left.shape[1] == 0:
                left = _predictions(self._next_sentence())
            count = min(self.num_steps - filled, left.shape[1])
            values_DT[:, filled : filled + count] = left[:, :count]
            left = left[:, count:]
            filled += count
        self._rows[row] = left

    def _next_sentence(self) -> np.ndarray:
        if self._taken == len(self._window):
            self._window_start, self._taken = self.windows.state_dict(), 0
            self._window = self.windows.next_window()
        self._taken += 1
        return self._window[self._taken - 1]


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
