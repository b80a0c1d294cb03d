"""Reads records, one a line, from a file or standard input: JSON objects, or text as `{"text": line}`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from elmo.errors import InputError
from experiments.io.line_reader import LineReader
from experiments.io.sentence_reader import DEFAULT_FIELD, JSON_SUFFIXES

MAX_LINE_BYTES = 16_000_000


class RecordReader:
    """Reads lines in constant memory; each is parsed by itself, so that a bad one does not stop the others.

    Args:
        source: a path, of plain or gzip text, or `-` for standard input. UTF-8.
        format: `jsonl`, `text`, or `auto`: JSON where the file's name says so or the first line that is not
            empty begins with a brace.

    Attributes:
        name: of the source, for error messages.

    Raises:
        InputError: the file is not there, or cannot be read.
    """

    def __init__(self, source: str, *, format: str) -> None:
        self._lines = LineReader(source, max_bytes=MAX_LINE_BYTES)
        self._format = "jsonl" if format == "auto" and source.endswith(JSON_SUFFIXES) else format
        self.name = self._lines.name

    @property
    def fraction(self) -> float:
        """The share of the file that has been read; for standard input 0 until its end."""
        return self._lines.fraction

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Line numbers, from 1, and lines as bytes. Raises InputError for a damaged gzip file."""
        return iter(self._lines)

    def record(self, line: bytes) -> dict[str, Any]:
        """The record of a line. Raises InputError for a bad line; the caller adds file and line number."""
        text = self._lines.decode(line)
        if not text.strip():
            raise InputError("empty line")
        if self._format == "auto":
            self._format = "jsonl" if text.lstrip().startswith("{") else "text"
        return {DEFAULT_FIELD: text} if self._format == "text" else _parsed(text)


def _parsed(text: str) -> dict[str, Any]:
    try:
        record = json.loads(text)
        if "\\u" in text:  # the only way for half of a character to come in
            json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        code = ord(error.object[error.start])
        raise InputError(f"half of a character U+{code:04X}; remove it from the text") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"no JSON ({error})") from error
    if not isinstance(record, dict):
        raise InputError(f"expected a JSON object, got a {type(record).__name__}")
    return record
