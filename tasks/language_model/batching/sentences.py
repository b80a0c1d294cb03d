"""Batches of whole sentences: similar lengths together, zero state, both directions over the same tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from elmo.errors import InputError
from elmo.registry import REGISTRY
from tasks.language_model.corpus import BATCHES, Sentences, ShuffledWindows, blocks, with_markers
from tasks.language_model.model import Batch, BatchBuilder


@REGISTRY.register("batching", "sentences")
class SentenceBatching:
    """Sentences of similar length share a batch of at most `batch_size * num_steps` predictions each way.

    Every sentence starts from zero state. A sentence longer than a batch is a batch of its own.

    Args:
        num_steps: with `batch_size`, the budget: as many predictions as the same `stream` batching has.
        batch_size: see `num_steps`; the number of sentences follows from their lengths.
    """

    carries_state = False

    def __init__(self, *, num_steps: int, batch_size: int) -> None:
        if num_steps < 1 or batch_size < 1:
            raise InputError(
                f"batching.num_steps, trainer.batch_size: expected at least 1, got {num_steps}, {batch_size}"
            )
        self.tokens_per_batch = num_steps * batch_size

    def training_batches(self, windows: ShuffledWindows, builder: BatchBuilder) -> SentenceBatches:
        """An endless, resumable iterator over batches."""
        return SentenceBatches(windows=windows, builder=builder, tokens_per_batch=self.tokens_per_batch)

    def evaluation_batches(self, corpus: Sentences, builder: BatchBuilder) -> Iterator[Batch]:
        """Every sentence of a corpus once."""
        for sentences in blocks(corpus):
            for group in _group_by_length(sentences, self.tokens_per_batch):
                yield _build(group, builder)


class SentenceBatches:
    """The endless iterator of `SentenceBatching`; its state: a window and the batches taken from it."""

    def __init__(self, *, windows: ShuffledWindows, builder: BatchBuilder, tokens_per_batch: int) -> None:
        self.windows, self.builder = windows, builder
        self.tokens_per_batch = tokens_per_batch
        self._window_start = windows.state_dict()
        self._groups: list[list[np.ndarray]] = []
        self._taken = 0

    def __iter__(self) -> SentenceBatches:
        return self

    def __next__(self) -> Batch:
        if self._taken == len(self._groups):
            self._window_start, self._taken = self.windows.state_dict(), 0
            self._open_window()
        self._taken += 1
        return _build(self._groups[self._taken - 1], self.builder)

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides the batches to come."""
        return {"window": self._window_start, "taken": self._taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly behind the batch after which the state was taken."""
        self.windows.load_state_dict(state["window"])
        self._window_start, self._taken = state["window"], state["taken"]
        if self._taken:
            self._open_window()

    def _open_window(self) -> None:
        generator = self.windows.generator(BATCHES)
        groups = _group_by_length(self.windows.next_window(), self.tokens_per_batch)
        self._groups = [groups[i] for i in generator.permutation(len(groups))]


def _group_by_length(sentences: list[np.ndarray], tokens_per_batch: int) -> list[list[np.ndarray]]:
    """Sentences, longest first, in groups of at most so many predictions; equal lengths keep their order."""
    groups: list[list[np.ndarray]] = []
    room = 0
    for index in np.argsort([-len(s) for s in sentences], kind="stable"):
        length = len(sentences[index]) + 1
        if length > room:
            groups.append([])
            room = tokens_per_batch
        groups[-1].append(sentences[index])
        room -= length
    return groups


def _build(sentences: list[np.ndarray], builder: BatchBuilder) -> Batch:
    """A batch of sentences that are sorted by length, longest first."""
    lengths = np.array([len(s) + 1 for s in sentences])
    marked = [with_markers(s) for s in sentences]
    alive_TB = np.arange(lengths[0])[:, None] < lengths
    padded_DTB = np.zeros((4, lengths[0], len(sentences)), dtype=np.int64)
    for row, forward in enumerate(marked):
        backward = forward[::-1]
        steps = (forward[:-1], forward[1:], backward[:-1], backward[1:])
        padded_DTB[:, : len(forward) - 1, row] = steps
    packed = padded_DTB[:, alive_TB]
    return builder.build(packed[0::2], packed[1::2], alive_TB.sum(axis=1).tolist(), carried=False)
