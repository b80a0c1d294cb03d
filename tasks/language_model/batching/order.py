"""The order in which training reads sentences: shuffled, endless, resumable, in little memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tasks.language_model.batching.batch import Sentences

CHUNK_SENTENCES = 128  # read together, from one place of the corpus
CHUNKS, SENTENCES, BATCHES = 1, 2, 3  # what a generator is for; none shares its numbers with another
WINDOW_CHUNKS = 256  # shuffled together: 32,768 sentences from places all over the corpus


class ShuffledWindows:
    """Windows of sentences from random places of the corpus, shuffled, one epoch after the other.

    A window is a function of seed, epoch and number alone, so a position is two integers and no generator's
    state. A corpus of one window is shuffled perfectly; a larger one needs memory for one window, whatever
    its size.

    Args:
        corpus: the sentences.
        seed: of the order.
        shard, num_shards: this process's share of each epoch, and the number of processes. A corpus too small
            to be shared out is read whole by each.
    """

    def __init__(self, *, corpus: Sentences, seed: int, shard: int = 0, num_shards: int = 1) -> None:
        self.corpus = corpus
        self.seed = seed
        self.shard, self.num_shards = shard, num_shards
        self.epoch, self.window = 0, 0

    def state_dict(self) -> dict[str, Any]:
        """The position: the window that `next_window` returns next."""
        return {"epoch": self.epoch, "window": self.window}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a position."""
        self.epoch, self.window = state["epoch"], state["window"]

    def next_window(self) -> list[np.ndarray]:
        """The sentences (type ids without markers) of the next window."""
        chunks = self._chunks()
        start = self.window * WINDOW_CHUNKS
        sentences = [
            s for chunk in chunks[start : start + WINDOW_CHUNKS] for s in self._read_chunk(int(chunk))
        ]
        order = np.random.default_rng([self.seed, self.epoch, self.window, self.shard]).permutation(
            len(sentences)
        )
        self.window += 1
        if self.window * WINDOW_CHUNKS >= len(chunks):
            self.epoch, self.window = self.epoch + 1, 0
        return [sentences[i] for i in order]

    def generator(self, purpose: int) -> np.random.Generator:
        """The generator of one purpose within the window that `next_window` returns next."""
        return np.random.default_rng([self.seed, self.epoch, self.window, self.shard, purpose])

    def _chunks(self) -> np.ndarray:
        num_chunks = -(-self.corpus.num_sentences // CHUNK_SENTENCES)
        order = np.random.default_rng([self.seed, self.epoch, 0, 0, CHUNKS]).permutation(num_chunks)
        return order[self.shard :: self.num_shards] if num_chunks >= self.num_shards else order

    def _read_chunk(self, chunk: int) -> list[np.ndarray]:
        start = chunk * CHUNK_SENTENCES
        return read_list(self.corpus, start, min(start + CHUNK_SENTENCES, self.corpus.num_sentences))


def read_list(corpus: Sentences, start: int, stop: int) -> list[np.ndarray]:
    """Sentences `start` to `stop` of a corpus, one array of type ids each."""
    ids, offsets = corpus.read_sentences(start, stop)
    return np.split(ids, offsets[1:-1])


def blocks(corpus: Sentences, size: int = CHUNK_SENTENCES * WINDOW_CHUNKS) -> Iterator[list[np.ndarray]]:
    """All sentences in the corpus's own order, a block in memory at a time."""
    for start in range(0, corpus.num_sentences, size):
        yield read_list(corpus, start, min(start + size, corpus.num_sentences))
