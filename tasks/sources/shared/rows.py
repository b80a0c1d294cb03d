"""Rows of the user's tables: csv, tsv, jsonl, json, parquet, or lines that a regular expression describes."""

from __future__ import annotations

import csv
import json
import re
import reprlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Protocol, TypeAlias

from elmo.errors import InputError
from elmo.values import Pattern
from tasks.sources.shared.compression import plain_name
from tasks.sources.shared.local_files import read_lines, read_parquet
from tasks.sources.shared.remote_files import File

Column: TypeAlias = str | int  # a name, or in a file without header a number from 1
Delimiter: TypeAlias = Annotated[str, Pattern(r'[^"\r\n]', "one character, such as ';' or '|'")]

TableForm: TypeAlias = Literal["csv", "tsv", "jsonl", "json", "parquet"]

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
SEPARATORS = {".csv": ",", ".tsv": "\t"}
_LONGEST_FIELD = 2**31 - 1  # characters; the default of csv, 131,072, is less than a long text


class Row(NamedTuple):
    """A row's values by column; `place` is its position `file:line`, or `file:row` in json and parquet."""

    place: str
    values: Mapping[Column, Any]


class InputTable(Protocol):
    """Where the texts of a table's row are, and the form of the file.

    Attributes:
        delimiter: between the fields of csv and tsv; None: a comma, a tab.
        encoding: of the table's file.
    """

    @property
    def delimiter(self) -> str | None: ...

    @property
    def encoding(self) -> str: ...

    @property
    def has_header(self) -> bool:
        """Whether columns have names."""
        ...

    @property
    def known_by(self) -> tuple[Column, ...]:
        """The columns by which a header is known."""
        ...

    def check_input(self, columns: Collection[Column]) -> None:
        """InputError if the columns lack what a prediction needs."""
        ...


def suffix_of(path: File) -> str:
    """A file's suffix, before that of its compression."""
    return Path(plain_name(path)).suffix.lower()


def read_rows(
    path: File,
    *,
    encoding: str,
    has_header: bool,
    key: str,
    delimiter: str | None = None,
    form: TableForm | None = None,
) -> Iterator[Row]:
    """A table's rows in order, without blank lines; a json file is an array of objects, or an object a line.

    In csv, quotation marks protect delimiters and line ends (RFC 4180); in tsv they are ordinary characters.
    Values of csv and tsv are always text, never numbers or missing.

    Args:
        path: of the table.
        encoding: of all formats but parquet.
        has_header: whether the first line of csv and tsv names the columns; otherwise they are numbered from
            1.
        key: the config key to name in errors about the file.
        delimiter: between the fields of csv and tsv; None: a comma, a tab.
        form: of the table, whatever the file's name; None: by its name.

    Raises:
        InputError: `file:line:` and the fault, or `key:` if the file has another format or is damaged.
    """
    suffix = suffix_of(path) if form is None else f".{form}"
    if suffix in SEPARATORS:
        lines = (line for _, batch in read_lines(path, encoding=encoding) for line in batch)
        records = split_fields(lines, suffix=suffix, delimiter=delimiter, name=str(path))
        yield from _named_rows(records, str(path), has_header=has_header)
    elif suffix in (".jsonl", ".json"):
        for number, item in _read_objects(path, encoding, is_array_possible=suffix == ".json"):
            yield Row(f"{path}:{number}", _checked_object(item, f"{path}:{number}"))
    else:
        check_table(path, key=key, form=form)
        yield from rows_of(read_parquet(path, key=key), str(path))


def match_lines(path: File, *, pattern: re.Pattern[str], encoding: str) -> Iterator[Row]:
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


def check_table(path: File, *, key: str, form: TableForm | None = None) -> None:
    """InputError if `read_rows` does not support the file's format."""
    if form is None and suffix_of(path) not in TABLE_SUFFIXES:
        raise InputError(f"{key}: {path} is none of {', '.join(TABLE_SUFFIXES)}")


def _numbered_lines(path: File, encoding: str) -> Iterator[tuple[int, str]]:
    """The non-blank lines and their numbers."""
    for first, lines in read_lines(path, encoding=encoding):
        for number, line in enumerate(lines, first):
            if line and not line.isspace():
                yield number, line


def _lines_or_records(path: File, encoding: str) -> Iterator[tuple[int, str]]:
    if suffix_of(path) != ".csv":
        return _numbered_lines(path, encoding)
    lines = (line for _, batch in read_lines(path, encoding=encoding) for line in batch)
    records = split_fields(lines, suffix=".csv", delimiter=None, name=str(path))
    return ((number, "\t".join(fields)) for number, fields in records)


def split_fields(
    lines: Iterable[str], *, suffix: str, delimiter: str | None, name: str, first_line: int = 1
) -> Iterator[tuple[int, list[str]]]:
    """The records of csv or tsv: the number of each one's first line, and its fields; blank ones left out.

    Args:
        lines: without line ends.
        suffix: `.csv` or `.tsv`; in csv, quotation marks protect delimiters and line ends.
        delimiter: None: that of the suffix.
        name: of the file, for messages.
        first_line: the number of the first one.

    Raises:
        InputError: `name:line:` for quotation marks that do not fit together.
    """
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(
        (f"{line}\n" for line in lines),
        delimiter=delimiter or SEPARATORS[suffix],
        quoting=csv.QUOTE_MINIMAL if suffix == ".csv" else csv.QUOTE_NONE,
        strict=True,
    )
    number = first_line
    try:
        for fields in reader:
            if any(field and not field.isspace() for field in fields):
                yield number, fields
            number = first_line + reader.line_num
    except csv.Error as error:
        raise InputError(f"{name}:{number}: {error}") from error


def name_fields(fields: list[str], columns: Sequence[Column]) -> dict[Column, str]:
    """The fields of a record by column; InputError if there are more or fewer, without the place."""
    if len(fields) != len(columns):
        raise InputError(
            f"{len(fields)} field{'s' * (len(fields) != 1)}, but the first line has {len(columns)}"
        )
    return dict(zip(columns, fields, strict=True))


def columns_of(first: Sequence[str], *, has_header: bool) -> list[Column]:
    """The columns of a table whose first record has these fields."""
    return [*first] if has_header else [*range(1, len(first) + 1)]


def parse_json(text: str, name: str, first_line: int = 1) -> Any:
    """The value of a text of JSON; InputError: `name:line:` and what is wrong with it."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        raise InputError(f"{name}:{line}: no JSON ({error.msg}, column {error.colno})") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
        raise InputError(f"{name}:{first_line}: no JSON that can be read ({error})") from error


def refuse_half_characters(text: str) -> None:
    """InputError, without the place, for half of a surrogate pair, which JSON can contain."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"character {error.start + 1} is half of a surrogate pair") from error


def _named_rows(records: Iterable[tuple[int, list[str]]], name: str, *, has_header: bool) -> Iterator[Row]:
    columns: list[Column] = []
    for number, fields in records:
        if not columns:
            columns = columns_of(fields, has_header=has_header)
            if has_header:
                continue
        try:
            yield Row(f"{name}:{number}", name_fields(fields, columns))
        except InputError as error:
            raise InputError(f"{name}:{number}: {error}") from error


def _read_objects(path: File, encoding: str, *, is_array_possible: bool) -> Iterator[tuple[int, Any]]:
    """The items of a json file's array with their numbers, or the values of lines with the lines' numbers."""
    lines = _numbered_lines(path, encoding)
    first = next(lines, None)
    if first is not None and is_array_possible and first[1].lstrip().startswith("["):
        text = "\n".join(line for _, batch in read_lines(path, encoding=encoding) for line in batch)
        yield from enumerate(parse_json(text, str(path)), 1)
        return
    for number, line in chain([] if first is None else [first], lines):
        yield number, parse_json(line, str(path), number)


def _checked_object(values: Any, place: str) -> dict[Column, Any]:
    if not isinstance(values, dict):
        raise InputError(f"{place}: expected a JSON object, got {reprlib.repr(values)}")
    return values
