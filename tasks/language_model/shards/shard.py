"""A shard of a text in preparation: some sentences as numbers of words in a table of their own.

Shape legend: N words (tokens), S sentences, V distinct words of the shard, in the order of their bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

import numpy as np

from elmo.errors import InputError, reason_of
from elmo.files import atomic_write
from elmo.json_file import read_json
from elmo.text.vocabulary import MARKERS
from elmo.values import Range, read_record
from tasks.language_model.shards.numbering import NumberedText

_Number: TypeAlias = Annotated[int, Range(0, 10**12)]
_CHUNK_SIZE = 1 << 20  # bytes
# The arrays of a shard's file in their order: their types, and which count of the marker is their length.
_ARRAYS = {
    "counts": (np.int64, "num_types", 0),
    "offsets": (np.int64, "num_types", 1),
    "tokens": (np.int32, "num_tokens", 0),
    "lengths": (np.int32, "num_sentences", 0),
    "words": (np.uint8, "num_type_bytes", 0),
}


@dataclass(frozen=True, kw_only=True)
class Marker:
    """What is written when a shard is finished: its counts, and the hash of its file."""

    num_tokens: _Number
    num_sentences: _Number
    num_types: _Number
    num_type_bytes: _Number
    num_literal_markers: _Number
    longest_sentence: _Number
    num_text_bytes: _Number
    sha256: str


class Shard:
    """A finished shard, of which parts are read.

    Args:
        path: of its file; the marker lies beside it.

    Raises:
        InputError: the marker or the file is missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.marker = read_record(Marker, read_json(_marker_path(path)), name=_marker_path(path).name)
            self._places: dict[str, tuple[type, int, int]] = {}
            end = 0
            for name, (dtype, count, more) in _ARRAYS.items():
                length = getattr(self.marker, count) + more
                self._places[name] = (dtype, end, length)
                end += np.dtype(dtype).itemsize * length
            if path.stat().st_size != end:
                raise ValueError(f"has not {end} bytes")
        except (OSError, ValueError, InputError) as error:
            raise InputError(f"{path}: damaged shard ({reason_of(error)})") from error

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Values `start` to `stop` of an array: counts, offsets, tokens, lengths or words."""
        dtype, place, length = self._places[name]
        count = (length if stop is None else min(stop, length)) - start
        return np.fromfile(self.path, dtype, count, offset=place + np.dtype(dtype).itemsize * start)

    def check(self) -> None:
        """InputError if the content is not what was written; the shard is then removed."""
        found = hashlib.sha256()
        with self.path.open("rb", buffering=0) as file:
            while chunk := file.read(_CHUNK_SIZE):
                found.update(chunk)
        if found.hexdigest() != self.marker.sha256:
            remove_shard(self.path)
            raise InputError(
                f"{self.path}: damaged shard (its content is not what its marker says); it was removed: run"
                " again, and it is prepared anew"
            )


def is_finished(path: Path) -> bool:
    """Whether a shard was written to its end."""
    return _marker_path(path).exists()


def remove_shard(path: Path) -> None:
    """Removes a shard, its marker first."""
    for part in (_marker_path(path), path):
        with suppress(OSError):
            part.unlink()


def write_shard(path: Path, texts: Iterable[NumberedText]) -> None:
    """Writes a shard of some texts, then its marker; InputError: the disk is full."""
    words, tokens_N, lengths_S, num_text_bytes = _join(texts)
    encoded = [word.encode("utf-8", "surrogatepass") for word in words]
    counts_V = np.bincount(tokens_N, minlength=len(words)).astype(np.int64)
    arrays = {
        "counts": counts_V,
        "offsets": np.cumsum([0, *map(len, encoded)], dtype=np.int64),
        "tokens": tokens_N,
        "lengths": lengths_S,
        "words": np.frombuffer(b"".join(encoded), dtype=np.uint8),
    }
    found = hashlib.sha256()
    with atomic_write(path) as aside, aside.open("wb") as file:
        for name in _ARRAYS:
            file.write(arrays[name].data)
            found.update(arrays[name].data)
    marker = Marker(
        num_tokens=len(tokens_N),
        num_sentences=len(lengths_S),
        num_types=len(words),
        num_type_bytes=len(arrays["words"]),
        num_literal_markers=int(sum(counts_V[i] for i, word in enumerate(words) if word in MARKERS)),
        longest_sentence=int(lengths_S.max(initial=0)),
        num_text_bytes=num_text_bytes,
        sha256=found.hexdigest(),
    )
    with atomic_write(_marker_path(path)) as aside:
        aside.write_text(json.dumps(asdict(marker)), encoding="utf-8")


def _join(texts: Iterable[NumberedText]) -> tuple[list[str], np.ndarray, np.ndarray, int]:
    """The distinct words of some texts in the order of their bytes; (N,) their numbers in it; (S,) lengths
    of the sentences; bytes of the text.

    The order of characters is that of their bytes in UTF-8.
    """
    numbers: dict[str, int] = {}
    tokens, lengths, num_bytes = list[np.ndarray](), list[np.ndarray](), 0
    for text in texts:
        own = [numbers.setdefault(word, len(numbers)) for word in text.words]
        tokens.append(np.array(own, dtype=np.int32)[text.ids_N])
        lengths.append(text.lengths_S.astype(np.int32))
        num_bytes += text.num_bytes
    words = sorted(numbers)
    places = np.empty(len(words), dtype=np.int32)
    places[[numbers[word] for word in words]] = np.arange(len(words), dtype=np.int32)
    return words, places[np.concatenate(tokens)], np.concatenate(lengths), num_bytes


def _marker_path(path: Path) -> Path:
    return path.with_suffix(".json")
