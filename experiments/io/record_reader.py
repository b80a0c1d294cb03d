"""Reads records from a file or standard input: JSON objects, rows of tables, or lines of text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

from elmo.errors import InputError
from experiments.io.line_reader import LineReader
from experiments.io.sentence_reader import DEFAULT_FIELD
from tasks.sources.labelled.text_table import TextTable
from tasks.sources.shared.rows import (
    SEPARATORS,
    Column,
    InputTable,
    columns_of,
    name_fields,
    read_rows,
    split_fields,
    suffix_of,
)

MAX_LINE_BYTES = 16_000_000
_FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv"}
_READ_WHOLE = (".json", ".parquet")

Raw: TypeAlias = bytes | list[str] | dict[Column, Any]  # a line, the fields of a row, or a row


class RecordReader:
    """Reads records in constant memory; each is parsed by itself, so that a bad one does not stop the others.

    Args:
        lines: of the source.
        format: `jsonl`, `csv`, `tsv`, `text`, or `auto`: by the file's name, or else by the first line that
            is not empty: JSON if it begins with a brace, a table if it names the training data's columns.
        table: the columns and the form of the training data; None: tables have a header, of any columns.

    Attributes:
        name: of the source, for error messages.

    Raises:
        InputError: a table is to be read as text.
    """

    def __init__(self, lines: LineReader, *, format: str, table: InputTable | None) -> None:
        self._lines, self._table = lines, table
        self.name = lines.name
        self._suffix = suffix_of(Path(lines.name))
        if format == "text" and self._suffix in (*SEPARATORS, ".parquet"):
            raise InputError(
                f"input: {self.name} is a table, and its lines are no texts; format=auto reads its columns"
            )
        self._format = _FORMATS.get(self._suffix, format) if format == "auto" else format
        self._columns: list[Column] = []

    @property
    def fraction(self) -> float:
        """The share of the file that has been read; for standard input and parquet 0 until its end."""
        return self._lines.fraction

    def __iter__(self) -> Iterator[tuple[int, int, Raw]]:
        """The number of each record's line (of a row in json and parquet), its size in bytes, and itself.

        Raises:
            InputError: a damaged file, or a table without a column of texts.
        """
        if self._format == "auto" and self._suffix in _READ_WHOLE:
            yield from self._rows()
            return
        lines = iter(self._lines)
        for number, line in lines:
            if self._format == "auto":
                self._format = self._guess(line)
            if self._format in ("csv", "tsv"):
                yield from self._fields(chain([(number, line)], lines), number)
            else:
                yield number, len(line), line

    def record(self, raw: Raw) -> dict[Any, Any]:
        """The record of what the iterator gives. InputError if it is bad; the caller adds file and line."""
        if isinstance(raw, dict):
            return raw
        if isinstance(raw, list):
            return name_fields(raw, self._columns)
        text = self._decoded(raw)
        if not text.strip():
            raise InputError("empty line")
        return {DEFAULT_FIELD: text} if self._format == "text" else _parsed(text)

    def _guess(self, line: bytes) -> str:
        """The format that a first line shows; `auto` if it shows none."""
        try:
            text = self._decoded(line).strip()
        except InputError:
            return "auto"
        if not text or text.startswith("{"):
            return "jsonl" if text else "auto"
        return self._table_format(text) or "text"

    def _table_format(self, text: str) -> str | None:
        """The format of the table whose header a text is, with the columns of the training data."""
        if self._table is None or not self._table.has_header:
            return None
        for suffix, separator in SEPARATORS.items():
            names = [name.strip('"') for name in text.split(self._table.delimiter or separator)]
            if len(names) > 1 and all(column in names for column in self._table.known_by):
                return _FORMATS[suffix]
        return None

    def _fields(self, lines: Iterable[tuple[int, bytes]], first_line: int) -> Iterator[tuple[int, int, Raw]]:
        """The rows of csv or tsv; a line that is not UTF-8 ends it, as the rows after it are in doubt."""
        table: InputTable = self._table or TextTable()
        records = split_fields(
            (self._decoded_at(number, line) for number, line in lines),
            suffix=f".{self._format}",
            delimiter=table.delimiter,
            name=self.name,
            first_line=first_line,
        )
        for number, fields in records:
            if not self._columns:
                self._columns = columns_of(fields, has_header=table.has_header)
                self._check_columns(number)
                if table.has_header:
                    continue
            yield number, sum(map(len, fields)), fields

    def _decoded(self, line: bytes) -> str:
        encoding = "utf-8" if self._table is None else self._table.encoding
        return self._lines.decode(line, other_encoding=encoding)

    def _decoded_at(self, number: int, line: bytes) -> str:
        try:
            return self._decoded(line)
        except InputError as error:
            raise InputError(f"{self.name}:{number}: {error}") from error

    def _check_columns(self, number: int) -> None:
        try:
            if self._table is not None:
                self._table.check_input(self._columns)
        except InputError as error:
            raise InputError(f"{self.name}:{number}: {error}") from error

    def _rows(self) -> Iterator[tuple[int, int, Raw]]:
        encoding = "utf-8" if self._table is None else self._table.encoding
        rows = read_rows(Path(self.name).expanduser(), encoding=encoding, has_header=True, key="input")
        for number, row in enumerate(rows, 1):
            texts = [value for value in row.values.values() if isinstance(value, str)]
            yield number, sum(map(len, texts)), dict(row.values)


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
