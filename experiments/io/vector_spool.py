"""A temporary store of vectors, with which an interrupted command can be continued: append, then commit."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Annotated, Any

import numpy as np

from elmo.errors import InputError, shown
from elmo.files import NO_SPACE, atomic_write, file_lock
from elmo.json_file import parse_json, read_json
from elmo.values import Range, read_record

_VECTORS_FILE, _WORDS_FILE, _RECORD_FILE = "vectors.bin", "words.jsonl", "progress.json"
_Number = Annotated[int, Range(0, 2**62)]


@dataclass(frozen=True)
class _Record:
    """What is committed: by which settings, and how much of each file."""

    settings: dict[str, Any]
    num_sentences: _Number
    num_words: _Number
    vector_bytes: _Number
    word_bytes: _Number


class VectorSpool:
    """A directory with the vectors and words of the sentences done so far.

    Appended sentences are safe after the next `commit`; a killed process loses only the later ones.
    A file lock keeps other processes out.

    Shape legend: W words of a sentence, P vector size, L layers.

    Args:
        path: the directory; created, or continued if it exists.
        settings: everything that decides the vectors, as plain values for JSON.
        shape: of a sentence's array, with -1 for its words: (-1, P), or (L, -1, P).
        dtype: of the vectors in the file.

    Attributes:
        num_sentences, num_words: committed ones, and those appended since.

    It is a context manager, which closes its files.

    Raises:
        InputError: it cannot be written, another process uses it, or it was begun with other settings.
    """

    def __init__(
        self, path: Path, *, settings: Mapping[str, Any], shape: Sequence[int], dtype: np.dtype[Any]
    ) -> None:
        self.path, self.shape, self.dtype = path, tuple(shape), dtype
        self._settings = json.loads(json.dumps(settings))  # as it comes back from the record
        with ExitStack() as opened:
            try:
                path.mkdir(parents=True, exist_ok=True)
                opened.enter_context(file_lock(path / ".lock"))
                record = self._read_record()
                self._vectors = opened.enter_context(_open_at(path / _VECTORS_FILE, record.vector_bytes))
                self._words = opened.enter_context(_open_at(path / _WORDS_FILE, record.word_bytes))
            except BlockingIOError as error:
                raise InputError(f"{path}: a running process is writing there; wait for it") from error
            except OSError as error:
                raise InputError(
                    f"{path}: cannot be written ({error.strerror}); choose another output"
                ) from error
            self._opened = opened.pop_all()
        self.num_sentences, self.num_words = record.num_sentences, record.num_words

    def __enter__(self) -> VectorSpool:
        return self

    def __exit__(self, *error: object) -> None:
        """Release the lock; an empty store is removed."""
        is_empty = self.is_empty
        with suppress(OSError):  # the disk is full: what is not committed does not count
            self._opened.close()
        if is_empty:
            self.remove()

    def append(self, words: Sequence[str], vectors: np.ndarray) -> None:
        """Add the next sentence, whose array is of `shape`; InputError when the disk is full."""
        try:
            self._vectors.write(np.ascontiguousarray(vectors, dtype=self.dtype).data)
            self._words.write(json.dumps(words).encode() + b"\n")
        except OSError as error:
            raise self._explained(error) from error
        self.num_sentences += 1
        self.num_words += len(words)

    def commit(self) -> None:
        """Flush what was appended to the disk and record it; InputError when the disk is full."""
        try:
            for file in (self._vectors, self._words):
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._explained(error) from error
        record = _Record(
            settings=self._settings,
            num_sentences=self.num_sentences,
            num_words=self.num_words,
            vector_bytes=self._vectors.tell(),
            word_bytes=self._words.tell(),
        )
        with atomic_write(self.path / _RECORD_FILE) as aside:
            aside.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever committed."""
        return not (self.path / _RECORD_FILE).exists()

    @property
    def num_bytes(self) -> int:
        """The size of all vectors and words in bytes."""
        return self._vectors.tell() + self._words.tell()

    def sentences(self) -> Iterator[list[str]]:
        """The words of each committed sentence, in order."""
        path = self.path / _WORDS_FILE
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                words = parse_json(line, name=f"{path}:{number}")
                if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
                    raise InputError(f"{path}:{number}: not a list of words; {self._advice}")
                yield words

    def __iter__(self) -> Iterator[tuple[list[str], np.ndarray]]:
        """The words and the array of each committed sentence, in order, one at a time in memory."""
        with (self.path / _VECTORS_FILE).open("rb") as file:
            for words in self.sentences():
                shape = tuple(len(words) if length == -1 else length for length in self.shape)
                vectors = np.empty(shape, dtype=self.dtype)
                if vectors.size and file.readinto(vectors.data.cast("B")) != vectors.nbytes:
                    raise InputError(f"{self.path}: holds fewer vectors than words; {self._advice}")
                yield words, vectors

    def remove(self) -> None:
        """Delete the directory."""
        shutil.rmtree(self.path, ignore_errors=True)

    @property
    def _advice(self) -> str:
        return f"remove {self.path} to start over"

    def _read_record(self) -> _Record:
        """The record of the last commit; zeros if there is none."""
        path = self.path / _RECORD_FILE
        if not path.exists():
            return _Record({}, 0, 0, 0, 0)
        try:
            record = read_record(_Record, read_json(path), name=str(path))
        except InputError as error:
            raise InputError(f"{error}; {self._advice}") from error
        settings = record.settings
        for key in sorted(settings.keys() | self._settings.keys()):
            before, now = settings.get(key), self._settings.get(key)
            if before != now:
                raise InputError(
                    f"{self.path}: an interrupted run with {key} {shown(before, json.dumps)} left it, "
                    f"this one has {shown(now, json.dumps)}; remove it to start over"
                )
        return record

    def _explained(self, error: OSError) -> InputError:
        if error.errno in NO_SPACE:
            return InputError(f"{self.path}: no space left; free some, and the same command goes on")
        return InputError(f"{self.path}: cannot be written ({error.strerror})")


def _open_at(path: Path, size: int) -> IO[bytes]:
    """A file to append to, truncated to its committed size; InputError if it is smaller."""
    file = path.open("r+b" if path.exists() else "w+b")
    if os.fstat(file.fileno()).st_size < size:
        file.close()
        raise InputError(f"{path}: fewer than {size:,} bytes, damaged; remove {path.parent} to start over")
    file.truncate(size)
    file.seek(size)
    return file
