"""Rows of the user's tables: csv, tsv, jsonl, json, parquet, or lines that a regular expression describes."""

from __future__ import annotations

import csv
import json
import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from elmo.errors import InputError
from tasks.sources.shared.local_files import read_lines, stream_table

Column: TypeAlias = str | int  # a name, or in a file without header a number from 1

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_LONGEST_FIELD = 2**31 - 1  # characters; the default of csv, 131,072, is less than a long text


class Row(NamedTuple):
    """A row's values by column; `place` is its position `file:line`, or `file:row` in json and parquet."""

    place: str
    values: Mapping[Column, Any]


def suffix_of(path: Path) -> str:
    """A file's suffix, before `.gz`."""
    return Path(path.name.removesuffix(".gz")).suffix.lower()


def read_rows(path: Path, *, encoding: str, has_header: bool, key: str) -> Iterator[Row]:
    """A table's rows in order, without blank lines; a json file is an array of objects.

    In csv, quotation marks protect commas and line ends (RFC 4180); in tsv they are ordinary characters.
    Values of csv and tsv are always text, never numbers or missing.

    Args:
        path: of the table.
        encoding: of all formats but parquet.
        has_header: whether the first line of csv and tsv names the columns; otherwise they are numbered from
            1.
        key: the config key to name in errors about the file.

    Raises:
        InputError: `file:line:` and the fault, or `key:` if the file has another format or is damaged.
    """
    suffix = suffix_of(path)
    if suffix in _SEPARATORS:
        yield from _read_delimited(path, encoding=encoding, has_header=has_header)
    elif suffix == ".jsonl":
        for number, line in _numbered_lines(path, encoding):
            yield _object_row(_parse(line, path, number), f"{path}:{number}")
    elif suffix == ".json":
        for number, item in enumerate(_read_array(path, encoding), 1):
            yield _object_row(item, f"{path}:{number}")
    else:
        check_table(path, key=key)
        yield from rows_of(stream_table("parquet", path, key=key), str(path))


def match_lines(path: Path, *, pattern: re.Pattern[str], encoding: str) -> Iterator[Row]:
    """The named groups of each non-blank line; tabs within a group become spaces.

    The line of a csv is its fields, joined by tabs.

    Raises:
        InputError: `file:line:` of a line that the pattern does not match as a whole.
    """
    for number, line in _lines_or_records(path, encoding):
        found = pattern.fullmatch(line)
        if found is None:
            shown = reprlib.repr(line)
            raise InputError(f"{path}:{number}: {shown} does not match data.line_pattern ({pattern.pattern})")
        groups = found.groupdict("").items()
        yield Row(f"{path}:{number}", {column: text.replace("\t", " ") for column, text in groups})


def rows_of(batches: Iterable[Mapping[str, list[Any]]], name: str) -> Iterator[Row]:
    """The rows of batches of columns, as `datasets` gives them, numbered from 1."""
    number = 0
    for batch in batches:
        for values in zip(*batch.values(), strict=True):
            number += 1
            yield Row(f"{name}:{number}", dict(zip(batch, values, strict=True)))


def check_table(path: Path, *, key: str) -> None:
    """InputError if `read_rows` does not support the file's format."""
    if suffix_of(path) not in TABLE_SUFFIXES:
        raise InputError(f"{key}: {path} is none of {', '.join(TABLE_SUFFIXES)}")


def _numbered_lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """The non-blank lines and their numbers."""
    for first, lines in read_lines(path, encoding=encoding):
        for number, line in enumerate(lines, first):
            if line and not line.isspace():
                yield number, line


def _lines_or_records(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    if suffix_of(path) != ".csv":
        return _numbered_lines(path, encoding)
    return ((number, "\t".join(fields)) for number, fields in _read_fields(path, ",", encoding))


def _read_delimited(path: Path, *, encoding: str, has_header: bool) -> Iterator[Row]:
    columns: list[Column] = []
    for number, fields in _read_fields(path, _SEPARATORS[suffix_of(path)], encoding):
        if not columns:
            columns = [*fields] if has_header else [*range(1, len(fields) + 1)]
            if has_header:
                continue
        if len(fields) != len(columns):
            raise InputError(f"{path}:{number}: {_count(fields)}, but the first line has {len(columns)}")
        yield Row(f"{path}:{number}", dict(zip(columns, fields, strict=True)))


def _read_fields(path: Path, separator: str, encoding: str) -> Iterator[tuple[int, list[str]]]:
    """Each record's first line's number, and its fields."""
    csv.field_size_limit(_LONGEST_FIELD)
    lines = (f"{line}\n" for _, batch in read_lines(path, encoding=encoding) for line in batch)
    if separator == ",":
        reader = csv.reader(lines, strict=True)
    else:
        reader = csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE, strict=True)
    number = 1
    try:
        for fields in reader:
            if any(field and not field.isspace() for field in fields):
                yield number, fields
            number = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}:{number}: {error}") from error


def _read_array(path: Path, encoding: str) -> list[Any]:
    text = "\n".join(line for _, lines in read_lines(path, encoding=encoding) for line in lines)
    content = _parse(text, path, 1)
    if not isinstance(content, list):
        raise InputError(f"{path}: expected an array of objects; a file with an object a line is a .jsonl")
    return content


def _parse(text: str, path: Path, first_line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        raise InputError(f"{path}:{line}: no JSON ({error.msg}, column {error.colno})") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
        raise InputError(f"{path}:{first_line}: no JSON that can be read ({error})") from error


def _object_row(values: Any, place: str) -> Row:
    if not isinstance(values, dict):
        raise InputError(f"{place}: expected a JSON object, got {reprlib.repr(values)}")
    return Row(place, values)


def _count(fields: list[str]) -> str:
    return f"{len(fields)} field{'s' if len(fields) != 1 else ''}"
