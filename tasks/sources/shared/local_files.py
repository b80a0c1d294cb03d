"""The user's files: found by path or glob, checked, and streamed by `datasets` without a copy."""

from __future__ import annotations

import codecs
import glob
import gzip
import os
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from elmo.errors import InputError

BATCH_SIZE = 2000  # rows
_CHUNK_SIZE = 1 << 20  # characters of a file in memory; the default of 10 MB costs some 50 MB more


def find_files(patterns: str | list[str], *, key: str) -> list[Path]:
    """The files of paths and globs, each once, in the given order; those of a glob are sorted by name.

    Raises:
        InputError: `key: fault`: a glob matches nothing, or a file is missing, empty or unreadable.
    """
    found: dict[Path, None] = {}
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        path = Path(pattern).expanduser()
        matches = [path] if path.exists() else sorted(map(Path, glob.glob(str(path), recursive=True)))
        if not matches:
            what = "no file matches" if glob.has_magic(pattern) else "no such file:"
            raise InputError(f"{key}: {what} {pattern}")
        found.update(dict.fromkeys(matches))
    if not found:
        raise InputError(f"{key}: no file is given")
    for path in found:
        _check_readable(path, key)
    return list(found)


def count_bytes(paths: list[Path]) -> int | None:
    """The files' total size in bytes; None if one is compressed."""
    return None if any(path.suffix == ".gz" for path in paths) else sum(path.stat().st_size for path in paths)


def read_lines(path: Path, *, encoding: str) -> Iterator[tuple[int, list[str]]]:
    """The lines of a text file, plain or gzip, in batches with the number (from 1) of their first line.

    Line ends of any system and a byte-order mark are removed.

    Raises:
        InputError: `path:line:` for bytes that are invalid in the encoding, or a damaged gzip file.
    """
    first = 1
    try:
        for batch in stream_file("text", path, encoding=encoding, chunksize=_CHUNK_SIZE):
            lines = batch["text"]
            if first == 1:
                lines[0] = lines[0].removeprefix("\ufeff")
            yield first, lines
            first += len(lines)
    except UnicodeDecodeError as error:
        raise InputError(_locate_invalid_bytes(path, encoding) or f"{path}: {error}") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: damaged gzip file ({error})") from error


def stream_file(builder: str, path: Path, **options: Any) -> Iterator[dict[str, list[Any]]]:
    """The rows of a file, in batches of columns, read by a builder of `datasets` (text, json, ...)."""
    import datasets

    with tempfile.TemporaryDirectory() as scratch:  # only for locks during loading
        rows = datasets.load_dataset(
            builder,
            data_files={"train": glob.escape(str(path.absolute()))},
            split="train",
            streaming=True,
            cache_dir=scratch,
            **options,
        )
    yield from rows.iter(batch_size=BATCH_SIZE)


def stream_table(builder: str, path: Path, *, key: str) -> Iterator[dict[str, list[Any]]]:
    """`stream_file` for the user's tables; InputError that begins with `key` for a damaged file."""
    from datasets.exceptions import DatasetGenerationError

    try:
        yield from stream_file(builder, path)
    except (DatasetGenerationError, ValueError) as error:  # raised by the builders for a damaged file
        raise InputError(f"{key}: {path} cannot be read: {' '.join(str(error).split())}") from error


def check_encoding(encoding: str, *, key: str) -> None:
    try:
        "a".encode(encoding)
    except LookupError as error:
        raise InputError(f"{key}: unknown encoding {encoding!r}; the usual one is utf-8") from error


def _check_readable(path: Path, key: str) -> None:
    if path.is_dir():
        raise InputError(f"{key}: {path} is a directory; name its files, for example '{path}/*.txt'")
    if not os.access(path, os.R_OK):
        raise InputError(f"{key}: {path} cannot be read (permission denied)")
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{key}: {path} is an empty file")


def _locate_invalid_bytes(path: Path, encoding: str) -> str | None:
    """The error message for the first bytes that are invalid in an encoding."""
    decoder = codecs.getincrementaldecoder(encoding)()
    number, line = 0, b""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for line in file:
                number += 1
                decoder.decode(line)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        start = (
            len(line) - len(error.object) + error.start
        )  # at the end of a file, the object is its last bytes
        place = f"at byte {start + 1} (0x{error.object[error.start]:02x})"
        name = encoding.upper() if encoding.lower().startswith("utf") else encoding
        return f"{path}:{number}: invalid {name} {place}; convert the file or set data.encoding=..."
    return None
