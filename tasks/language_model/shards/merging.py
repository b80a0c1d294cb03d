"""Merges the shards of a text into a store, in memory that depends neither on its words nor on its types.

Each shard has its distinct words in the order of their bytes: a sorted run. The runs are read side by side, a
block of each at a time, and merged; the types are then numbered by descending count, equal counts by their
bytes. All files are read and written from their beginning to their end, or in pieces that follow each other.

Shape legend: V types of all shards, R distinct words of some runs, N words, S sentences.
"""

from __future__ import annotations

import os
import shutil
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np

from elmo.errors import InputError
from elmo.text.characters import NUM_MARKERS
from tasks.language_model.corpus import take_ranges
from tasks.language_model.shards.shard import Shard

WORDS_AT_ONCE = 1 << 20  # of all runs together
MOST_TYPES = 2**31 - 1 - NUM_MARKERS  # type ids are 32-bit
_FEWEST_WORDS = 64  # of a run that are read at once


def merge_shards(shards: Sequence[Shard], directory: Path) -> dict[str, int]:
    """Writes the store's arrays into a directory, and returns its totals.

    Raises:
        InputError: a shard is damaged, or there are more types than can be numbered.
    """
    for shard in shards:
        shard.check()
    scratch = directory / "merging"
    scratch.mkdir()
    num_sentences = sum(shard.marker.num_sentences for shard in shards)
    num_words = _merge_runs(shards, scratch)
    classes = _count_classes(scratch, num_words)
    num_type_bytes = _write_types(directory, scratch, classes, num_words)
    with (directory / "counts.bin").open("r+b") as counts:
        counts.write(np.full(NUM_MARKERS, num_sentences, dtype=np.int64).data)  # each marker: one a sentence
    _write_sentences(shards, directory, scratch)
    shutil.rmtree(scratch)
    return {
        "num_tokens": sum(shard.marker.num_tokens for shard in shards),
        "num_sentences": num_sentences,
        "num_types": num_words + NUM_MARKERS,
        "num_type_bytes": num_type_bytes,
        "num_literal_markers": sum(shard.marker.num_literal_markers for shard in shards),
        "longest_sentence": max((shard.marker.longest_sentence for shard in shards), default=0),
    }


class _Run:
    """The distinct words of a shard in the order of their bytes, a block of which is in memory."""

    def __init__(self, shard: Shard, block_size: int) -> None:
        self.shard, self.block_size = shard, block_size
        self.start = 0  # the first word that is not merged yet
        self.stop = 0  # the end of the words in memory
        self._first = 0  # the first word in memory

    @property
    def num_words(self) -> int:
        return self.shard.marker.num_types

    def fill(self) -> None:
        """Reads on, if less than half a block is left."""
        if self.stop - self.start >= min(self.block_size // 2, self.num_words - self.start):
            return
        self._first, self.stop = self.start, min(self.start + self.block_size, self.num_words)
        self._offsets = self.shard.read("offsets", self._first, self.stop + 1)
        self._words = self.shard.read("words", int(self._offsets[0]), int(self._offsets[-1]))
        self._counts = self.shard.read("counts", self._first, self.stop)

    def word(self, index: int) -> bytes:
        """A word in memory."""
        start, stop = self._offsets[index - self._first : index - self._first + 2] - self._offsets[0]
        return self._words[start:stop].tobytes()

    def take(self, last: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The words in memory up to `last`: lengths, bytes and counts."""
        begin = self.start
        self.start = bisect_right(range(self.stop), last, begin, self.stop, key=self.word)
        offsets = self._offsets[begin - self._first : self.start - self._first + 1]
        words = self._words[offsets[0] - self._offsets[0] : offsets[-1] - self._offsets[0]]
        return np.diff(offsets), words, self._counts[begin - self._first : self.start - self._first]


def _merge_runs(shards: Sequence[Shard], scratch: Path) -> int:
    """Writes all distinct words in the order of their bytes, with lengths and counts; their number.

    `places.bin` gets the number in this order of each word of each shard, one shard after the other.
    """
    runs = [_Run(shard, max(_FEWEST_WORDS, WORDS_AT_ONCE // max(1, len(shards)))) for shard in shards]
    starts = np.cumsum([0, *(run.num_words for run in runs)])
    num_words = 0
    with ExitStack() as opened:
        words, lengths, counts, places = (
            opened.enter_context((scratch / f"{name}.bin").open("wb"))
            for name in ("words", "lengths", "counts", "places")
        )
        while left := [number for number, run in enumerate(runs) if run.start < run.num_words]:
            for number in left:
                runs[number].fill()
            last = min(runs[number].word(runs[number].stop - 1) for number in left)
            begins = [int(starts[number]) + runs[number].start for number in left]
            taken = [runs[number].take(last) for number in left]
            merged = _merge(*(np.concatenate(parts) for parts in zip(*taken, strict=True)))
            words.write(merged.words.data)
            lengths.write(merged.lengths_R.astype(np.int32).data)
            counts.write(merged.counts_R.data)
            ends = np.cumsum([len(part[0]) for part in taken])[:-1]
            for begin, own in zip(begins, np.split(merged.places + num_words, ends), strict=True):
                _write_at(places.fileno(), own.astype(np.int32), 4 * begin)
            num_words += len(merged.lengths_R)
            if num_words > MOST_TYPES:
                raise InputError(
                    f"data: more than {MOST_TYPES:,} distinct words; choose another tokenizer, or less text"
                )
    return num_words


class _Merged(NamedTuple):
    """Distinct words in the order of their bytes."""

    words: np.ndarray  # their bytes
    lengths_R: np.ndarray
    counts_R: np.ndarray
    places: np.ndarray  # of the words that were merged, among the distinct ones


def _merge(lengths: np.ndarray, words: np.ndarray, counts: np.ndarray) -> _Merged:
    """The distinct ones of some words, with the sums of their counts."""
    import pyarrow.compute

    offsets = np.concatenate([[0], np.cumsum(lengths)])
    buffers = [None, pyarrow.py_buffer(offsets), pyarrow.py_buffer(words)]
    array = pyarrow.LargeBinaryArray.from_buffers(pyarrow.large_binary(), len(lengths), buffers)
    encoded = array.dictionary_encode()
    order_R = pyarrow.compute.array_sort_indices(encoded.dictionary)
    distinct = encoded.dictionary.take(order_R)
    place_of = np.empty(len(order_R), dtype=np.int64)
    place_of[order_R.to_numpy()] = np.arange(len(order_R))
    places = place_of[encoded.indices.to_numpy()]
    sums_R = np.zeros(len(order_R), dtype=np.int64)
    np.add.at(sums_R, places, counts)
    lengths_R = np.diff(np.frombuffer(distinct.buffers()[1], np.int64, len(distinct) + 1))
    return _Merged(np.frombuffer(distinct.buffers()[2], np.uint8), lengths_R, sums_R, places)


class _Classes(NamedTuple):
    """The types by their counts; few counts differ, as the sum of different ones is at most the words.

    Attributes:
        counts: the different counts, descending.
        next_type: the type id of the next word of each, and
        next_byte: where its bytes are in the table of types.
    """

    counts: np.ndarray
    next_type: np.ndarray
    next_byte: np.ndarray


def _count_classes(scratch: Path, num_words: int) -> _Classes:
    """How many words, and how many bytes of words, have each count."""
    found = np.zeros((0, 3), dtype=np.int64)  # count, words, bytes
    for counts, lengths in _blocks(scratch, num_words):
        rows = np.stack([counts, np.ones_like(counts), lengths], axis=1)
        rows = np.concatenate([found, rows])
        values, index = np.unique(rows[:, 0], return_inverse=True)
        found = np.zeros((len(values), 3), dtype=np.int64)
        found[:, 0] = values
        np.add.at(found[:, 1:], index.reshape(-1), rows[:, 1:])
    found = found[::-1]
    before = np.cumsum(found, axis=0) - found
    return _Classes(found[:, 0].copy(), before[:, 1] + NUM_MARKERS, before[:, 2].copy())


def _write_types(directory: Path, scratch: Path, classes: _Classes, num_words: int) -> int:
    """Writes the table of types and their counts, and `types_of.bin`: the type id of each merged word."""
    num_bytes = 0
    with ExitStack() as opened:
        types, offsets, counts_file, types_of = (
            opened.enter_context(path.open("wb"))
            for path in (
                *(directory / f"{name}.bin" for name in ("types", "type_offsets", "counts")),
                scratch / "types_of.bin",
            )
        )
        words = opened.enter_context((scratch / "words.bin").open("rb"))
        _write_at(offsets.fileno(), np.zeros(NUM_MARKERS + 1, dtype=np.int64), 0)
        for counts, lengths in _blocks(scratch, num_words):
            blob = np.frombuffer(words.read(int(lengths.sum())), np.uint8)
            num_bytes += len(blob)
            class_of = np.searchsorted(-classes.counts, -counts)
            order = np.argsort(class_of, kind="stable")  # within a count, words stay in their order
            starts = (np.cumsum(lengths) - lengths)[order]
            blob, lengths = take_ranges(blob, starts, lengths[order]), lengths[order]
            ends = np.cumsum(lengths)
            ids = np.empty(len(order), dtype=np.int32)
            begins = np.flatnonzero(np.diff(class_of[order], prepend=-1)).tolist()
            for begin, end in zip(begins, [*begins[1:], len(order)], strict=True):
                place = class_of[order[begin]]
                first_type, first_byte = int(classes.next_type[place]), int(classes.next_byte[place])
                before = int(ends[begin] - lengths[begin])
                ids[begin:end] = np.arange(first_type, first_type + end - begin)
                _write_at(types.fileno(), blob[before : ends[end - 1]], first_byte)
                _write_at(offsets.fileno(), ends[begin:end] + (first_byte - before), 8 * (first_type + 1))
                _write_at(counts_file.fileno(), counts[order[begin:end]], 8 * first_type)
                classes.next_type[place] += end - begin
                classes.next_byte[place] += int(ends[end - 1]) - before
            in_order = np.empty_like(ids)
            in_order[order] = ids
            types_of.write(in_order.data)
    return num_bytes


def _write_sentences(shards: Sequence[Shard], directory: Path, scratch: Path) -> None:
    """Writes the sentences of all shards, one after the other, as type ids."""
    num_tokens, first_word = 0, 0
    with (
        (directory / "tokens.bin").open("wb") as tokens,
        (directory / "sentences.bin").open("wb") as sentences,
    ):
        sentences.write(bytes(8))
        for shard in shards:
            num_words = shard.marker.num_types
            places = np.fromfile(scratch / "places.bin", np.int32, num_words, offset=4 * first_word)
            type_ids = _take_ascending(scratch / "types_of.bin", places)
            tokens.write(type_ids[shard.read("tokens")].data)
            sentences.write((num_tokens + np.cumsum(shard.read("lengths"), dtype=np.int64)).data)
            num_tokens += shard.marker.num_tokens
            first_word += num_words


def _take_ascending(path: Path, places: np.ndarray) -> np.ndarray:
    """The values of a file of 32-bit numbers at ascending places."""
    if not len(places):
        return np.zeros(0, dtype=np.int32)
    values = np.memmap(path, np.int32, "r")  # closed at once: its pages would count as this process's memory
    return np.asarray(values[places])


def _blocks(scratch: Path, num_words: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The counts and lengths of all merged words, a block at a time."""
    for start in range(0, num_words, WORDS_AT_ONCE):
        count = min(WORDS_AT_ONCE, num_words - start)
        yield (
            np.fromfile(scratch / "counts.bin", np.int64, count, offset=8 * start),
            np.fromfile(scratch / "lengths.bin", np.int32, count, offset=4 * start),
        )


def _write_at(descriptor: int, values: np.ndarray, place: int) -> None:
    """Writes all of an array at a place of a file; one call of the system writes 2 GiB at most."""
    content = np.ascontiguousarray(values).data.cast("B") if len(values) else memoryview(b"")
    while len(content):
        written = os.pwrite(descriptor, content, place)
        content, place = content[written:], place + written
