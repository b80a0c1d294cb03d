"""Bucketing: batches of whole sentences of similar length; both directions predict the same tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from elmo.bilm.packing import Packing, bucket_by_length
from elmo.registry import REGISTRY
from elmo.text.characters import add_markers
from elmo.values import Size
from tasks.language_model.corpus import Sentences, blocks
from tasks.language_model.model import Batch, BatchBuilder
from tasks.language_model.order import BATCHES, Pools, refuse_outside


@REGISTRY.register("batching", "sentences")
class SentenceBatching:
    """Sentences of similar length share a batch of at most `batch_size * num_steps` predictions per
    direction.

    Every sentence starts from the biLM's start state. A sentence that is longer than a batch is a batch of
    its own; one of more than `most_words` words, such as a text without line breaks, would take minutes.

    Args:
        num_steps: times `batch_size`, the number of predictions of a batch, the same as with `stream`.
        batch_size: see `num_steps`; the number of sentences depends on their lengths.
    """

    carries_state = False
    most_words: int | None = 5000

    def __init__(self, *, num_steps: Size, batch_size: Size) -> None:
        self.tokens_per_batch = num_steps * batch_size

    def training_batches(self, pools: Pools, builder: BatchBuilder) -> SentenceBatches:
        """An endless iterator over training batches that can be resumed."""
        return SentenceBatches(pools=pools, builder=builder, tokens_per_batch=self.tokens_per_batch)

    def evaluation_batches(self, corpus: Sentences, builder: BatchBuilder) -> Iterator[Batch]:
        """Every sentence of a corpus once."""
        for sentences in blocks(corpus):
            for group in _groups(sentences, self.tokens_per_batch):
                yield batch_of_sentences(group, builder)[0]


class SentenceBatches:
    """The iterator of `SentenceBatching`; its state is a pool and the number of batches read from it."""

    def __init__(self, *, pools: Pools, builder: BatchBuilder, tokens_per_batch: int) -> None:
        self.pools, self.builder = pools, builder
        self.tokens_per_batch = tokens_per_batch
        self._pool_start = pools.state_dict()
        self._groups: list[list[np.ndarray]] = []
        self._taken = 0

    def __iter__(self) -> SentenceBatches:
        return self

    def __next__(self) -> Batch:
        if self._taken == len(self._groups):
            self._pool_start, self._taken = self.pools.state_dict(), 0
            self._open_pool()
        self._taken += 1
        return batch_of_sentences(self._groups[self._taken - 1], self.builder)[0]

    def state_dict(self) -> dict[str, Any]:
        """Everything that determines the next batches."""
        return {"pool": self._pool_start, "taken": self._taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue after the batch at which `state_dict` was called."""
        self.pools.load_state_dict(state["pool"])
        self._pool_start, self._taken = state["pool"], state["taken"]
        if self._taken:
            self._open_pool()
        refuse_outside(self._taken, len(self._groups))

    def _open_pool(self) -> None:
        generator = self.pools.generator(BATCHES)
        groups = _groups(self.pools.next_pool().sentences(), self.tokens_per_batch)
        self._groups = [groups[i] for i in generator.permutation(len(groups))]


def _groups(sentences: list[np.ndarray], tokens_per_batch: int) -> list[list[np.ndarray]]:
    """Buckets of sentences of similar length, with at most `tokens_per_batch` predictions each."""
    buckets = bucket_by_length([len(sentence) + 1 for sentence in sentences], tokens_per_batch)
    return [[sentences[index] for index in bucket] for bucket in buckets]


def batch_of_sentences(sentences: Sequence[np.ndarray], builder: BatchBuilder) -> tuple[Batch, Packing]:
    """A batch of whole sentences (type ids without markers), and the packing of its predictions.

    A sentence `<S> w1 ... wn </S>` has n + 1 predictions: forward each of `w1 ... wn </S>` from the tokens
    before it, backward each of `wn ... w1 <S>` from the tokens after it.
    """
    lengths = np.array([len(sentence) for sentence in sentences])
    packing = Packing(lengths + 1)
    marked = add_markers(np.concatenate(sentences), lengths)
    ends = np.cumsum(lengths + 2)
    without_last = packing.pack(torch.from_numpy(np.delete(marked, ends - 1))).numpy()
    without_first = packing.pack(torch.from_numpy(np.delete(marked, ends - lengths - 2))).numpy()
    inputs_DN = np.stack([without_last[0], without_first[1]])
    targets_DN = np.stack([without_first[0], without_last[1]])
    return builder.build(inputs_DN, targets_DN, packing.batch_sizes, carried=False), packing
