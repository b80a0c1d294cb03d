"""The user's files: found by path, glob or address, checked, and read in batches of lines or rows."""

from __future__ import annotations

import codecs
import glob
import io
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from elmo.errors import InputError
from tasks.sources.shared.compression import is_compressed, open_decompressed
from tasks.sources.shared.remote_files import File, RemoteFile, find_remote, is_remote

BATCH_SIZE = 2000  # rows


def find_files(patterns: str | list[str], *, key: str) -> list[File]:
    """The files of paths, addresses and globs, each once, in the given order; a glob's are sorted by name.

    Raises:
        InputError: `key: fault`: a glob matches nothing, or a file is missing, empty or unreadable.
    """
    found: dict[File, None] = {}
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        matches = find_remote(pattern, key=key) if is_remote(pattern) else _find_local(pattern)
        if not matches:
            what = "no file matches" if glob.has_magic(pattern) else "no such file:"
            raise InputError(f"{key}: {what} {pattern}")
        found.update(dict.fromkeys(matches))
    if not found:
        raise InputError(f"{key}: no file is given")
    for path in found:
        if isinstance(path, Path):
            _check_readable(path, key)
    return list(found)


def _find_local(pattern: str) -> Sequence[File]:
    path = Path(pattern.removeprefix("file://")).expanduser()
    # os.path: a name that no file can have, such as one of 300 characters, is not there
    is_there = os.path.exists(path)
    return [path] if is_there else sorted(map(Path, glob.glob(str(path), recursive=True)))


def count_bytes(paths: list[File]) -> int | None:
    """The files' total size in bytes; None if one is compressed, or its server does not tell."""
    sizes = [None if is_compressed(path) else _size_of(path) for path in paths]
    return None if None in sizes else sum(filter(None, sizes))


def group_files(paths: list[File], *, size: int) -> list[list[File]]:
    """The files in order, in groups of at least `size` bytes, but for the last one."""
    groups, room = list[list[File]](), 0
    for path in paths:
        if room <= 0:
            groups.append([])
            room = size
        groups[-1].append(path)
        room -= _size_of(path) or size  # one of unknown size ends its group
    return groups


def _size_of(path: File) -> int | None:
    return path.size if isinstance(path, RemoteFile) else path.stat().st_size


def read_lines(path: File, *, encoding: str) -> Iterator[tuple[int, list[str]]]:
    """The lines of a text file, perhaps compressed, in batches with the number (from 1) of their first line.

    Line ends of any system and a byte-order mark are removed.

    Raises:
        InputError: `path:line:` for bytes that are invalid in the encoding, or a damaged compressed file.
    """
    first = 1
    try:
        with open_decompressed(path) as (content, _), io.TextIOWrapper(content, encoding=encoding) as text:
            while lines := [line.removesuffix("\n") for line in islice(text, BATCH_SIZE)]:
                if first == 1:
                    lines[0] = lines[0].removeprefix("\ufeff")
                yield first, lines
                first += len(lines)
    except UnicodeError as error:
        raise InputError(_locate_invalid_bytes(path, encoding) or f"{path}: {error}") from error


def read_parquet(path: File, *, key: str) -> Iterator[dict[str, list[Any]]]:
    """The rows of a parquet file, in batches of columns; InputError that begins with `key` if damaged."""
    import pyarrow.parquet

    try:
        with path.open("rb") as file, pyarrow.parquet.ParquetFile(file, pre_buffer=False) as table:
            for batch in table.iter_batches(batch_size=BATCH_SIZE):
                yield batch.to_pydict()
    except InputError:  # a remote file's
        raise
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        raise InputError(f"{key}: {path} cannot be read: {' '.join(str(error).split())}") from error


def check_encoding(encoding: str, *, key: str) -> None:
    try:
        "a".encode(encoding)
    except (LookupError, ValueError) as error:  # ValueError: `undefined`, or a name with a NUL
        raise InputError(f"{key}: unknown encoding {encoding!r}; the usual one is utf-8") from error


def _check_readable(path: Path, key: str) -> None:
    if path.is_dir():
        raise InputError(f"{key}: {path} is a directory; name its files, for example '{path}/*.txt'")
    if not os.access(path, os.R_OK):
        raise InputError(f"{key}: {path} cannot be read (permission denied)")
    if not path.is_file():
        raise InputError(
            f"{key}: {path} is a pipe or a device; data is read more than once: write it to a file first"
        )
    if path.stat().st_size == 0:
        raise InputError(f"{key}: {path} is an empty file")


def _locate_invalid_bytes(path: File, encoding: str) -> str | None:
    """The error message for the first bytes that are invalid in an encoding."""
    decoder = codecs.getincrementaldecoder(encoding)()
    number, line = 0, b""
    try:
        with open_decompressed(path) as (file, _):
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
    except UnicodeError as error:  # the encoding asks for a byte-order mark
        return f"{path}: {error}; name the byte order: data.encoding={encoding}-le or {encoding}-be"
    return None
