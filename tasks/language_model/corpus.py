"""A prepared corpus: plain arrays on disk, read in pieces, shuffled or in order.

Shape legend: N words (tokens), S sentences, V distinct words (types).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

import numpy as np

from elmo.errors import InputError, reason_of
from elmo.json_file import read_json
from elmo.text.characters import BEGIN_TYPE, END_TYPE, NUM_MARKERS, TypeTable
from elmo.values import Count, Range, read_record

FORMAT = 1  # of the store; if it changes, all corpora are prepared again
CHUNK_SENTENCES = 128  # consecutive sentences that are read together
CHUNKS, SENTENCES, BATCHES = 1, 2, 3  # purposes of random generators: each has a stream of its own
_BOUNDS_AT_ONCE = 1 << 20
WINDOW_CHUNKS = 256  # chunks that are shuffled together: 32,768 sentences from random places of the corpus


class Sentences(Protocol):
    """The part of a corpus that batching needs."""

    types: TypeTable
    num_sentences: int
    num_tokens: int

    def read_sentences(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """The concatenated type ids of some sentences, and their (stop - start + 1,) offsets, from 0."""
        ...


@dataclass(frozen=True, kw_only=True)
class _Meta:
    """The counts in a store's meta.json; what else is in it describes the text.

    Attributes:
        num_tokens: words, without markers.
        num_types: distinct words, with the two markers.
        num_literal_markers: words <S>, </S>, <UNK> of the text.
    """

    format: int
    fingerprint: str
    num_tokens: Count
    num_sentences: Count
    num_types: Count
    num_type_bytes: Count
    num_literal_markers: Annotated[int, Range(0, 10**12)]


class Corpus:
    """A prepared corpus, opened read-only. Opening takes milliseconds for a million distinct
    words, and does not depend on the length of the text.

    A type id is the number of a distinct word: 0 and 1 are the markers `<S>` and `</S>`; words start at 2, in
    order of first appearance. A literal `<S>` in the text is an ordinary word.

    Args:
        path: the store's directory.

    Raises:
        InputError: the store is missing, not complete, or of another format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            meta = read_record(_Meta, read_json(path / "meta.json"), name="meta.json", is_open=True)
            _check_sizes(path, meta)
            self.counts_V = _map(path / "counts.bin", np.int64)  # a marker's is the number of sentences
            self.types = _map_types(path)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path}: no complete prepared corpus ({reason_of(error)}); delete it, run again"
            ) from error
        self.fingerprint = meta.fingerprint
        self.num_tokens = meta.num_tokens
        self.num_sentences = meta.num_sentences
        self.num_types = meta.num_types
        self.num_literal_markers = meta.num_literal_markers

    def read_sentences(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Read sentences `start` to `stop` from disk; nothing is kept in memory.

        Returns:
            (N,) int32 type ids of their words, without markers, and (stop - start + 1,) int64 offsets into
            them: sentence `start + i` is `ids[offsets[i]:offsets[i + 1]]`.
        """
        if not 0 <= start <= stop <= self.num_sentences:
            raise IndexError(f"sentences {start} to {stop} of {self.num_sentences}")
        # Not memory-mapped: pages of a map that were read count as this process's memory.
        offsets = np.fromfile(self.path / "sentences.bin", np.int64, stop - start + 1, offset=8 * start)
        if offsets[0] < 0 or offsets[-1] > self.num_tokens or (np.diff(offsets) < 0).any():
            raise InputError(f"{self.path}: sentences.bin is damaged; delete the directory, run again")
        num_ids = int(offsets[-1] - offsets[0])
        ids = np.fromfile(self.path / "tokens.bin", np.int32, num_ids, offset=4 * int(offsets[0]))
        if ids.size and not NUM_MARKERS <= ids.min() <= ids.max() < self.num_types:
            raise InputError(f"{self.path}: tokens.bin is damaged; delete the directory, run again")
        return ids, offsets - offsets[0]

    def longest_sentence(self) -> int:
        """The number of words of the longest sentence."""
        bounds = np.memmap(self.path / "sentences.bin", np.int64, "r")
        parts = range(0, self.num_sentences, _BOUNDS_AT_ONCE)
        return max(int(np.diff(bounds[i : i + _BOUNDS_AT_ONCE + 1]).max()) for i in parts)


class ShuffledWindows:
    """Shuffled windows of sentences from random places of the corpus, epoch after epoch.

    A window depends only on the seed, the epoch and its number, so that a position is two integers and needs
    no generator state. A corpus that fits into one window is shuffled uniformly; a larger one needs memory
    for one window only.

    Args:
        corpus: the sentences.
        seed: of the shuffling.
        shard, num_shards: this process's index and the number of processes; each reads its part of an epoch.
            A corpus that is too small for this is read whole by every process.
    """

    def __init__(self, *, corpus: Sentences, seed: int, shard: int = 0, num_shards: int = 1) -> None:
        self.corpus = corpus
        self.seed = seed
        self.shard, self.num_shards = shard, num_shards
        self.epoch, self.window = 0, 0

    def state_dict(self) -> dict[str, Any]:
        """The position of the window that `next_window` returns next."""
        return {"epoch": self.epoch, "window": self.window}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a position; InputError if there is none such."""
        self.epoch, self.window = state["epoch"], state["window"]
        if self.epoch < 0:
            raise InputError(f"batches: epoch {self.epoch}; the checkpoint is damaged")
        refuse_outside(self.window * WINDOW_CHUNKS, len(self._chunks()))

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
        """The random generator for a purpose in the window that `next_window` returns next."""
        return np.random.default_rng([self.seed, self.epoch, self.window, self.shard, purpose])

    def _chunks(self) -> np.ndarray:
        num_chunks = -(-self.corpus.num_sentences // CHUNK_SENTENCES)
        order = np.random.default_rng([self.seed, self.epoch, 0, 0, CHUNKS]).permutation(num_chunks)
        return order[self.shard :: self.num_shards] if num_chunks >= self.num_shards else order

    def _read_chunk(self, chunk: int) -> list[np.ndarray]:
        start = chunk * CHUNK_SENTENCES
        return read_list(self.corpus, start, min(start + CHUNK_SENTENCES, self.corpus.num_sentences))


def refuse_outside(position: int, size: int) -> None:
    """InputError if a saved position is not one from 0 to `size`."""
    if not 0 <= position <= size:
        raise InputError(f"batches: a position of {position} in data of {size}; the checkpoint is damaged")


def read_list(corpus: Sentences, start: int, stop: int) -> list[np.ndarray]:
    """Sentences `start` to `stop` of a corpus, one array of type ids each."""
    ids, offsets = corpus.read_sentences(start, stop)
    return np.split(ids, offsets[1:-1])


def blocks(corpus: Sentences, size: int = CHUNK_SENTENCES * WINDOW_CHUNKS) -> Iterator[list[np.ndarray]]:
    """All sentences in the corpus's order, in blocks, of which one is in memory at a time."""
    for start in range(0, corpus.num_sentences, size):
        yield read_list(corpus, start, min(start + size, corpus.num_sentences))


def with_markers(sentence: np.ndarray) -> np.ndarray:
    """`<S>` words `</S>`."""
    return np.concatenate(([BEGIN_TYPE], sentence, [END_TYPE]))


def _check_sizes(path: Path, meta: _Meta) -> None:
    if meta.format != FORMAT:
        raise ValueError(f"format {meta.format}, not {FORMAT}")
    sizes = {
        "tokens": 4 * meta.num_tokens,
        "sentences": 8 * (meta.num_sentences + 1),
        "types": meta.num_type_bytes,
        "type_offsets": 8 * (meta.num_types + 1),
        "counts": 8 * meta.num_types,
    }
    for name, size in sizes.items():
        if (path / f"{name}.bin").stat().st_size != size:
            raise ValueError(f"{name}.bin has not {size} bytes")


def _map_types(path: Path) -> TypeTable:
    """The distinct words; ValueError if they are damaged."""
    blob, offsets = _map(path / "types.bin", np.uint8), _map(path / "type_offsets.bin", np.int64)
    if offsets[0] != 0 or offsets[-1] != len(blob) or (np.diff(offsets) < 0).any():
        raise ValueError("type_offsets.bin is damaged")
    starts = offsets[NUM_MARKERS:-1]
    if len(starts) and (blob[starts[starts < len(blob)]] & 0xC0 == 0x80).any():
        raise ValueError("types.bin is damaged")  # a word begins within a character
    blob.tobytes().decode("utf-8", "surrogatepass")
    return TypeTable(blob, offsets)


def _map(path: Path, dtype: type) -> np.ndarray:
    return np.asarray(np.memmap(path, dtype=dtype, mode="r"))
