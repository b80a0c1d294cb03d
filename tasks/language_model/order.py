"""The order of the training data: a permutation of the whole corpus that is computed and never stored.

Shape legend: B blocks, S sentences, N words.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from elmo.errors import InputError
from tasks.language_model.corpus import Sentences, take_ranges
from tasks.sources.shared.bit_mixing import mix_bits

BLOCK_SENTENCES = 16  # consecutive ones, read together: one at a time is too slow from a disk
POOL_BLOCKS = 2048  # blocks from random places of the corpus that are shuffled together: 32,768 sentences
BLOCKS, SENTENCES, BATCHES = 1, 2, 3  # purposes of random numbers: each has a stream of its own
_NUM_ROUNDS = 6


class Permutation:
    """A pseudo-random permutation of 0 to `size` - 1: any place of it is computed by itself.

    A balanced Feistel network (Luby and Rackoff 1988) permutes the numbers of an even number of bits; a
    result that is not below `size` is permuted again until it is (cycle walking: Black and Rogaway 2002,
    section 4), fewer than four times on average.

    Args:
        size: at least 1.
        key: integers that choose the permutation.
    """

    def __init__(self, size: int, *, key: list[int]) -> None:
        self.size = size
        self._half = np.uint64(max(1, ((size - 1).bit_length() + 1) // 2))
        self._mask = np.uint64((1 << int(self._half)) - 1)
        self._keys = np.random.SeedSequence(key).generate_state(_NUM_ROUNDS, np.uint64)

    def __getitem__(self, places_B: np.ndarray) -> np.ndarray:
        """(B,) int64: the numbers at some places."""
        numbers_B = self._network(np.asarray(places_B, dtype=np.uint64))
        outside = np.flatnonzero(numbers_B >= self.size)
        while len(outside):
            numbers_B[outside] = self._network(numbers_B[outside])
            outside = outside[numbers_B[outside] >= self.size]
        return numbers_B.astype(np.int64)

    def _network(self, numbers_B: np.ndarray) -> np.ndarray:
        left, right = numbers_B >> self._half, numbers_B & self._mask
        for key in self._keys:
            left, right = right, left ^ (mix_bits(right + key) & self._mask)
        return (left << self._half) | right


class Pool(NamedTuple):
    """Sentences from random places of a corpus, shuffled; sentence i is `ids_N[offsets[i]:offsets[i + 1]]`.

    Attributes:
        ids_N: type ids of their words, without markers.
        offsets: (S + 1,), from 0.
    """

    ids_N: np.ndarray
    offsets: np.ndarray

    def sentences(self) -> list[np.ndarray]:
        """One array for each."""
        return np.split(self.ids_N, self.offsets[1:-1])


class Pools:
    """The sentences of a corpus in a new order in every epoch, a pool of them at a time.

    The order is a permutation of all blocks of 16 consecutive sentences, and a shuffle of the sentences of
    every 2,048 blocks in it. It depends on the seed alone, and a place in it is two numbers; memory is needed
    for one pool only. Single sentences instead of blocks would be a better shuffle still, but reading them
    takes twelve times as long (0.5 instead of 0.04 microseconds a word) where the system has the file in
    memory, and 16 times as many accesses where it has not.

    Args:
        corpus: the sentences.
        seed: of the order.
    """

    def __init__(self, *, corpus: Sentences, seed: int) -> None:
        self.corpus = corpus
        self.seed = seed
        self.epoch, self.pool = 0, 0
        self._num_blocks = -(-corpus.num_sentences // BLOCK_SENTENCES)

    def state_dict(self) -> dict[str, Any]:
        """The position of the pool that `next_pool` returns next."""
        return {"epoch": self.epoch, "pool": self.pool}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a position; InputError if there is none such."""
        self.epoch, self.pool = state["epoch"], state["pool"]
        if self.epoch < 0:
            raise InputError(f"batches: epoch {self.epoch}; the checkpoint is damaged")
        refuse_outside(self.pool * POOL_BLOCKS, self._num_blocks)

    def next_pool(self) -> Pool:
        """The sentences of the next pool."""
        start = self.pool * POOL_BLOCKS
        places_B = np.arange(start, min(start + POOL_BLOCKS, self._num_blocks))
        blocks_B = Permutation(self._num_blocks, key=[self.seed, self.epoch, BLOCKS])[places_B]
        ids_N, lengths_S = self._read(blocks_B)
        order_S = self.generator(SENTENCES).permutation(len(lengths_S))
        starts_S = np.cumsum(lengths_S) - lengths_S
        self.pool += 1
        if self.pool * POOL_BLOCKS >= self._num_blocks:
            self.epoch, self.pool = self.epoch + 1, 0
        lengths_S = lengths_S[order_S]
        offsets = np.concatenate([[0], np.cumsum(lengths_S)])
        return Pool(take_ranges(ids_N, starts_S[order_S], lengths_S), offsets)

    def generator(self, purpose: int) -> np.random.Generator:
        """The random generator for a purpose in the pool that `next_pool` returns next."""
        return np.random.default_rng([self.seed, self.epoch, self.pool, purpose])

    def _read(self, blocks_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The words of some blocks, and the lengths of their sentences."""
        parts, lengths = list[np.ndarray](), list[np.ndarray]()
        for block in blocks_B.tolist():
            start = block * BLOCK_SENTENCES
            stop = min(start + BLOCK_SENTENCES, self.corpus.num_sentences)
            ids_N, offsets = self.corpus.read_sentences(start, stop)
            parts.append(ids_N)
            lengths.append(np.diff(offsets))
        return np.concatenate(parts), np.concatenate(lengths)


def refuse_outside(position: int, size: int) -> None:
    """InputError if a saved position is not one from 0 to `size`."""
    if not 0 <= position <= size:
        raise InputError(f"batches: a position of {position} in data of {size}; the checkpoint is damaged")
