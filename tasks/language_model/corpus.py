"""A prepared corpus: plain arrays on disk, read in pieces.

Shape legend: D directions, U types of a batch, N words (tokens), S sentences, V distinct words (types).
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol

import numpy as np

from elmo.errors import InputError, reason_of
from elmo.json_file import read_json
from elmo.text.characters import BEGIN_TYPE, END_TYPE, NUM_MARKERS, TypeTable
from elmo.values import Count, Range, read_record

FORMAT = 2  # of the store; if it changes, all corpora are prepared again
BLOCK_SIZE = 1 << 15  # sentences that are read at once where all are read in order


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
        longest_sentence: its words.
    """

    format: int
    fingerprint: str
    num_tokens: Count
    num_sentences: Count
    num_types: Count
    num_type_bytes: Count
    num_literal_markers: Annotated[int, Range(0, 10**12)]
    longest_sentence: Count


class Corpus:
    """A prepared corpus, opened read-only. Opening takes milliseconds for a million distinct
    words, and does not depend on the length of the text.

    A type id is the number of a distinct word: 0 and 1 are the markers `<S>` and `</S>`; words start at 2,
    by descending count, equal counts by their bytes in UTF-8. A literal `<S>` of the text is a word.

    Args:
        path: the store's directory.

    Raises:
        InputError: the store is missing, not complete, or of another format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: dict[str, int] = {}
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
        self.longest_sentence = meta.longest_sentence

    def read_sentences(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Read sentences `start` to `stop` from disk; nothing is kept in memory.

        Returns:
            (N,) int32 type ids of their words, without markers, and (stop - start + 1,) int64 offsets into
            them: sentence `start + i` is `ids[offsets[i]:offsets[i + 1]]`.
        """
        if not 0 <= start <= stop <= self.num_sentences:
            raise IndexError(f"sentences {start} to {stop} of {self.num_sentences}")
        offsets = self._read("sentences", np.int64, start, stop - start + 1)
        if offsets[0] < 0 or offsets[-1] > self.num_tokens or (offsets[1:] < offsets[:-1]).any():
            raise InputError(f"{self.path}: sentences.bin is damaged; delete the directory, run again")
        num_ids = int(offsets[-1] - offsets[0])
        ids = self._read("tokens", np.int32, int(offsets[0]), num_ids)
        if ids.size and not NUM_MARKERS <= ids.min() <= ids.max() < self.num_types:
            raise InputError(f"{self.path}: tokens.bin is damaged; delete the directory, run again")
        return ids, offsets - offsets[0]

    def _read(self, name: str, dtype: type, start: int, count: int) -> np.ndarray:
        """Some values of a file; those behind its end are missing.

        Not memory-mapped: pages of a map that were read count as this process's memory. Not opened for each
        reading: that would take longer than the reading.
        """
        if name not in self._files:
            self._files[name] = os.open(self.path / f"{name}.bin", os.O_RDONLY | os.O_CLOEXEC)
            weakref.finalize(self, os.close, self._files[name])
        size = np.dtype(dtype).itemsize
        content = bytearray()
        while missing := count * size - len(content):  # one call reads 2 GiB at most
            piece = os.pread(self._files[name], missing, start * size + len(content))
            if not piece:
                raise InputError(f"{self.path}: {name}.bin is damaged; delete the directory, run again")
            content += piece
        return np.frombuffer(content, dtype)


def read_list(corpus: Sentences, start: int, stop: int) -> list[np.ndarray]:
    """Sentences `start` to `stop` of a corpus, one array of type ids each."""
    ids, offsets = corpus.read_sentences(start, stop)
    return np.split(ids, offsets[1:-1])


def blocks(corpus: Sentences, size: int = BLOCK_SIZE) -> Iterator[list[np.ndarray]]:
    """All sentences in the corpus's order, in blocks, of which one is in memory at a time."""
    for start in range(0, corpus.num_sentences, size):
        yield read_list(corpus, start, min(start + size, corpus.num_sentences))


def take_ranges(values_N: np.ndarray, starts_S: np.ndarray, lengths_S: np.ndarray) -> np.ndarray:
    """The concatenated ranges `values_N[starts_S[i]:starts_S[i] + lengths_S[i]]`."""
    moves_S = starts_S - (np.cumsum(lengths_S) - lengths_S)
    return values_N[np.arange(int(lengths_S.sum())) + np.repeat(moves_S, lengths_S)]


def distinct_ids(ids_DN: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(U,) the distinct ids, ascending, and (D, N) int64 places of all in them.

    As `np.unique`, but each id is sorted together with its position, as one number: sorting numbers is faster
    than finding their order.
    """
    size = ids_DN.size
    keys = np.sort(ids_DN.reshape(-1).astype(np.int64) * size + np.arange(size))
    sorted_ids, positions = np.divmod(keys, size)
    is_new = np.diff(sorted_ids, prepend=-1) != 0
    local = np.empty(size, dtype=np.int64)
    local[positions] = np.cumsum(is_new) - 1
    return sorted_ids[is_new], local.reshape(ids_DN.shape)


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
