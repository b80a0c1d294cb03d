"""Reads the lines of a file or of standard input one at a time, perhaps compressed, with a longest line."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import IO

from elmo.errors import InputError
from tasks.sources.shared.compression import open_decompressed

STANDARD_STREAM = "-"
_LOOK_EVERY = 256  # lines, at how far the file is


class LineReader:
    """Reads lines in constant memory.

    Args:
        source: a path, perhaps of a compressed file, or `-` for standard input.
        max_bytes: where a longer line is cut; `decode` refuses what is cut.

    Attributes:
        name: of the source, for error messages.
        fraction: the share of the file that has been read; for standard input 0 until its end.

    Raises:
        InputError: the file is not there, or cannot be read.
    """

    def __init__(self, source: str, *, max_bytes: int) -> None:
        self.name = "stdin" if source == STANDARD_STREAM else source
        self._path = None if source == STANDARD_STREAM else _checked_path(source)
        self._max_bytes = max_bytes
        self.fraction = 0.0

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Line numbers, from 1, and lines as bytes. Raises InputError for a damaged file."""
        with self._opened() as (file, raw):
            for number in count(1):
                line = file.readline(self._max_bytes)
                if not line:
                    break
                yield number, line
                while self._is_cut(line):
                    line = file.readline(self._max_bytes)
                if number % _LOOK_EVERY == 0:
                    self.fraction = _share_read(raw)
        self.fraction = 1.0

    def decode(self, line: bytes, *, other_encoding: str = "utf-8") -> str:
        """A line's text, without line end and byte order mark; `other_encoding` is that of what is not UTF-8.

        Raises:
            InputError: the line cannot be decoded or is too long; the caller adds file and line number.
        """
        if self._is_cut(line):
            raise InputError(
                f"line of {self._max_bytes:,} bytes or more; expected a sentence or a paragraph a line"
            )
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            text = _decode_otherwise(line, other_encoding, error)
        return text.removesuffix("\n").removesuffix("\r").removeprefix("\ufeff")

    def _is_cut(self, line: bytes) -> bool:
        return len(line) == self._max_bytes and not line.endswith(b"\n")

    @contextmanager
    def _opened(self) -> Iterator[tuple[IO[bytes], IO[bytes] | None]]:
        """The file of lines, and the file on disk below it, by which the fraction is computed."""
        if self._path is None:
            yield sys.stdin.buffer, None
            return
        with open_decompressed(self._path) as files:
            yield files


def _decode_otherwise(line: bytes, encoding: str, error: UnicodeDecodeError) -> str:
    """The text of a line that is not UTF-8, for the reason in `error`."""
    with suppress(UnicodeError):
        return line.decode(encoding)
    names = "UTF-8" if codecs.lookup(encoding).name == "utf-8" else f"UTF-8, nor {encoding},"
    byte = f"0x{line[error.start]:02x}"
    raise InputError(f"invalid {names} at byte {error.start + 1} ({byte}); convert the text") from error


def _share_read(file: IO[bytes] | None) -> float:
    size = os.fstat(file.fileno()).st_size if file else 0
    return min(1.0, file.tell() / size) if file and size else 0.0  # a pipe has no size


def _checked_path(source: str) -> Path:
    path = Path(source).expanduser()
    if os.path.isdir(path):
        raise InputError(f"input: {source} is a directory, expected a file")
    if not os.path.exists(path):  # also of a name that no file can have
        raise InputError(f"input: no such file: {source}")
    if not os.access(path, os.R_OK):
        raise InputError(f"input: {source} cannot be read (permission denied)")
    return path
