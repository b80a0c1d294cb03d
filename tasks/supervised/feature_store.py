"""Stores the vectors of a frozen encoder on disk: computed once per data set, read in every epoch.

Shape legend: N words, L layers, S sentences, B ranges of words, T words of the longest one, P size of a
vector.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from elmo.errors import InputError
from elmo.files import atomic_write, written_once
from elmo.io.loading import fingerprint
from tasks.encoders.token_encoder import TokenEncoder
from tasks.supervised.representation import Window
from tasks.task import Report

FORMAT = 1  # of the stores; if it changes, all stores are computed again

DTYPES: dict[str, np.dtype[Any]] = {"float16": np.dtype("<f2"), "float32": np.dtype("<f4")}
_BLOCK_BYTES = 128 << 20  # vectors that are held in memory before they are written
_BATCH_WORDS = 4096  # words, with padding, that go through the encoder at once
_GIGABYTE = 10**9


class FeatureStore:
    """The vectors of all words of some texts, in order, memory-mapped.

    Args:
        vectors_NLP: the memory-mapped array.
        ranges: for each text its first word and its end (exclusive).
    """

    def __init__(self, vectors_NLP: np.ndarray, ranges: Sequence[tuple[int, int]]) -> None:
        self.vectors_NLP = vectors_NLP
        self.ranges = ranges

    def of(self, texts: Sequence[Window], whole: Sequence[Window]) -> FeatureStore:
        """The store of some of its texts, `whole`, all of which it has; no vector is copied."""
        places = {_frozen(text): place for text, place in zip(whole, self.ranges, strict=True)}
        return FeatureStore(self.vectors_NLP, [places[_frozen(text)] for text in texts])

    def gather(self, ranges: Sequence[tuple[int, int]]) -> Tensor:
        """(L, B, T, P) vectors of ranges of words, in the dtype of the store, padded with zeros.

        Args:
            ranges: first word and end (exclusive) of each, counted as in `ranges` of the store.
        """
        longest = max((stop - start for start, stop in ranges), default=0)
        padded_BTLP = np.zeros((len(ranges), longest, *self.vectors_NLP.shape[1:]), self.vectors_NLP.dtype)
        for row_TLP, (start, stop) in zip(padded_BTLP, ranges, strict=True):
            row_TLP[: stop - start] = self.vectors_NLP[start:stop]
        return torch.from_numpy(padded_BTLP).permute(2, 0, 1, 3)


class FeatureCache:
    """The directory of all stores, an LRU cache: the least recently used stores are removed to make room.

    A store is one `.npy` file, written atomically and named by a hash of its encoder, words and dtype. Any
    number of processes may use the directory: of those that need the same store at the same time one computes
    it, and a removed store stays readable for processes that have it open.

    Args:
        path: the directory.
        max_gigabytes: limit of all stores together, in units of 10^9 bytes.
        dtype: of the stored vectors, float16 or float32.
        report: called with words, sentences and the fraction done while vectors are computed.
        notice: called with a line for the user.

    Raises:
        InputError: an argument is out of range.
    """

    def __init__(
        self,
        *,
        path: Path,
        max_gigabytes: float,
        dtype: str,
        report: Report,
        notice: Callable[[str], None],
    ) -> None:
        if dtype not in DTYPES:
            raise InputError(f"features.dtype: expected one of {', '.join(DTYPES)}, got {dtype!r}")
        self.path, self.max_gigabytes, self.dtype = path, max_gigabytes, DTYPES[dtype]
        self.report, self.notice = report, notice
        self._opened: set[Path] = set()

    def store(self, encoder: TokenEncoder, texts: Sequence[Window]) -> FeatureStore | None:
        """The store of an encoder's vectors of texts; it is computed if it is missing or damaged.

        None, after a notice, if there is no room for it beside the stores that this object has opened.

        Args:
            encoder: frozen, on the device where it is to run; it is put in evaluation mode.
            texts: the sentences of each text.

        Raises:
            InputError: the disk is full, or the vectors do not fit the dtype.
        """
        offsets = np.cumsum([0, *map(_num_words, texts)]).tolist()
        layout = _Layout((offsets[-1], encoder.num_layers, encoder.size), self.dtype)
        path = self.path / f"{self._key(encoder, texts)}.npy"
        vectors_NLP = layout.map(path)
        if vectors_NLP is None:
            with written_once(path):
                vectors_NLP = layout.map(path)  # another process may have written it meanwhile
                if vectors_NLP is None:
                    if not self._make_room(path, layout.num_bytes):
                        return None
                    vectors_NLP = self._write(path, layout, encoder, texts)
        with suppress(OSError):  # a cache that may only be read
            os.utime(path)
        self._opened.add(path)
        return FeatureStore(vectors_NLP, list(pairwise(offsets)))

    def _key(self, encoder: TokenEncoder, texts: Sequence[Window]) -> str:
        """A fingerprint of everything that determines a store's content."""
        digest = hashlib.blake2b(digest_size=16)
        model = [fingerprint(encoder), _settings(encoder), encoder.word_lists()]
        digest.update(json.dumps([FORMAT, self.dtype.str, model], sort_keys=True).encode())
        for text in texts:
            digest.update(json.dumps(text).encode())
        return digest.hexdigest()

    def _make_room(self, path: Path, num_bytes: int) -> bool:
        """Remove the least recently used stores until there is room for one at `path`."""
        room = int(self.max_gigabytes * _GIGABYTE) - num_bytes
        others = {other: _size_and_time(other) for other in self.path.glob("*.npy") if other != path}
        oldest_last = sorted(others.keys() - self._opened, key=lambda other: others[other].time, reverse=True)
        kept = sum(others[other].size for other in others.keys() & self._opened)
        if kept > room:
            self.notice(
                f"features: {num_bytes / _GIGABYTE:.3g} GB of vectors do not fit into"
                f" features.max_gigabytes={self.max_gigabytes:g} ({kept / _GIGABYTE:.3g} GB are in use);"
                " the encoder computes them again for every batch"
            )
            return False
        for other in oldest_last:
            kept += others[other].size
            if kept > room:
                with suppress(OSError):  # another process removed it
                    other.unlink()
        return True

    def _write(
        self, path: Path, layout: _Layout, encoder: TokenEncoder, texts: Sequence[Window]
    ) -> np.ndarray:
        num_words = num_sentences = 0
        num_all = sum(map(len, texts))
        with atomic_write(path) as aside, aside.open("wb") as file:
            if shutil.disk_usage(aside).free < layout.num_bytes:  # fail now, not after an hour
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(aside))
            file.write(layout.header)
            for block in _blocks(texts, _BLOCK_BYTES // (4 * encoder.num_layers * encoder.size)):
                file.write(self._narrowed(encode_words(encoder, block)).data)
                num_words += sum(map(_num_words, block))
                num_sentences += sum(map(len, block))
                self.report(num_words, num_sentences, num_sentences / max(num_all, 1))
            file.flush()
            mapped = layout.map(aside)  # as soon as it has its name, another process may remove it
        assert mapped is not None
        return mapped

    def _narrowed(self, vectors_NLP: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            narrow_NLP = vectors_NLP.astype(self.dtype)
        if not np.isfinite(narrow_NLP).all():
            raise InputError(
                f"features.dtype: {self.dtype.name} cannot hold the encoder's vectors, some are too large or"
                " not finite; use float32 or another encoder"
            )
        return narrow_NLP


def _frozen(text: Window) -> tuple[tuple[str, ...], ...]:
    """A text as a key; texts of the same words have the same vectors."""
    return tuple(map(tuple, text))


class _Layout(NamedTuple):
    """The format of a store's file: the header of a `.npy` file, then the vectors."""

    shape: tuple[int, int, int]  # N, L, P
    dtype: np.dtype[Any]

    @property
    def header(self) -> bytes:
        file = io.BytesIO()
        fields = {"descr": self.dtype.str, "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(file, fields)
        return file.getvalue()

    @property
    def num_bytes(self) -> int:
        return len(self.header) + math.prod(self.shape) * self.dtype.itemsize

    def _is_that_of(self, path: Path) -> bool:
        """Whether the file exists and is complete."""
        try:
            with path.open("rb") as file:
                return file.read(len(self.header)) == self.header and path.stat().st_size == self.num_bytes
        except OSError:
            return False

    def map(self, path: Path) -> np.ndarray | None:
        """The vectors of a file; None if there is none, or if it is not complete."""
        if not self._is_that_of(path):
            return None
        try:
            mapped = np.memmap(path, self.dtype, mode="r", offset=len(self.header), shape=self.shape)
        except FileNotFoundError:  # another process has just removed it
            return None
        return np.asarray(mapped)


class _Use(NamedTuple):
    size: int  # bytes
    time: int  # of the last use


def _size_and_time(path: Path) -> _Use:
    try:
        stat = path.stat()
    except FileNotFoundError:  # another process removed it
        return _Use(0, 0)
    return _Use(stat.st_size, stat.st_mtime_ns)


def _settings(encoder: nn.Module) -> dict[str, dict[str, Any]]:
    """The plain attributes of the encoder's modules, such as clips, which the weights do not determine."""
    plain = (bool, int, float, str, type(None))
    return {
        name: {
            key: value
            for key, value in vars(module).items()
            if isinstance(value, plain) and not key.startswith("_") and key != "training"
        }
        for name, module in encoder.named_modules()
    }


def _num_words(text: Window) -> int:
    return sum(map(len, text))


def _blocks(texts: Sequence[Window], num_words: int) -> Iterator[list[Window]]:
    """Split texts into lists of about `num_words` words."""
    block: list[Window] = []
    room = num_words
    for text in texts:
        block.append(text)
        room -= _num_words(text)
        if room <= 0:
            yield block
            block, room = [], num_words
    if block:
        yield block


def encode_words(encoder: TokenEncoder, texts: Sequence[Window]) -> np.ndarray:
    """(N, L, P) float32 vectors of the words of all texts, with the encoder in evaluation mode.

    Sentences of similar length share a batch of bounded size; those of a text stay together if the encoder
    carries its state from one to the next.
    """
    units = texts if encoder.carries_state else [[sentence] for text in texts for sentence in text]
    lengths_S = np.array([len(sentence) for unit in units for sentence in unit], dtype=np.int64)
    starts_S = np.cumsum(lengths_S) - lengths_S
    sentences_of = list(map(range, *_offsets(units)))
    vectors_NLP = np.empty((lengths_S.sum(), encoder.num_layers, encoder.size), dtype=np.float32)
    for group in _by_length(units):
        numbers = np.array([number for unit in group for number in sentences_of[unit]])
        with torch.no_grad():
            layers_LSTP = encoder.eval().encode_texts([units[unit] for unit in group]).cpu().numpy()
        steps_T = np.arange(layers_LSTP.shape[2])
        words_ST = steps_T < lengths_S[numbers, None]
        vectors_NLP[(starts_S[numbers, None] + steps_T)[words_ST]] = layers_LSTP[:, words_ST].swapaxes(0, 1)
    return vectors_NLP


def _offsets(units: Sequence[Window]) -> tuple[list[int], list[int]]:
    """The number of each unit's first sentence, and of the one behind its last, counted over all units."""
    ends = np.cumsum([len(unit) for unit in units], dtype=np.int64)
    return (ends - [len(unit) for unit in units]).tolist(), ends.tolist()


def _by_length(units: Sequence[Window]) -> Iterator[list[int]]:
    """Bucketing: the indices of units with words, longest sentences first, in batches of bounded size."""
    longest_U = np.array([max(map(len, unit), default=0) for unit in units])
    group: list[int] = []
    room = 0
    for unit in np.argsort(-longest_U, kind="stable")[: np.count_nonzero(longest_U)].tolist():
        if group and len(units[unit]) > room:
            yield group
            group = []
        if not group:
            room = _BATCH_WORDS // int(longest_U[unit])
        group.append(unit)
        room -= len(units[unit])
    if group:
        yield group
