"""Sense-tagged sentences from columns: a word a line, a blank line after each sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Annotated, Any

from elmo.errors import InputError, shown
from elmo.registry import REGISTRY
from elmo.values import Range
from tasks.sources.senses.source import SenseSentence, SenseSource, SenseTag
from tasks.sources.shared.local_files import check_encoding, find_files, read_lines
from tasks.sources.shared.remote_files import File

ColumnNumber = Annotated[int, Range(1, 1000)]


@REGISTRY.register("data", "sense_files")
class SenseFiles(SenseSource):
    """Sense-tagged sentences from the user's files, perhaps compressed.

    A line is a word with its columns, separated by tabs, of which all lines of a file have as many. Only
    words with a sense need a lemma.

    Args:
        files: paths or globs.
        word_column: the number of the words' column, from 1.
        lemma_column: that of their lemmas.
        tag_column: that of their parts of speech; None: there is none.
        sense_column: that of their senses; an empty one is not known.
        document_prefix: begins a line without tabs that opens a document and names it; None: each file is a
            document. Words before the first such line are in a document of the file's name.
        encoding: Python's name of the encoding; a byte-order mark is removed.
        language: ISO 639-1 code.
    """

    def __init__(
        self,
        *,
        files: str | list[str] | None,
        word_column: ColumnNumber = 1,
        lemma_column: ColumnNumber = 2,
        tag_column: ColumnNumber | None = 3,
        sense_column: ColumnNumber = 4,
        document_prefix: str | None = "# ",
        encoding: str = "utf-8",
        language: str = "en",
    ) -> None:
        check_encoding(encoding, key="data.encoding")
        if document_prefix == "":
            raise InputError("data.document_prefix: every line begins with nothing; null: each file is one")
        self.language = language
        self._patterns, self._prefix, self._encoding = files, document_prefix, encoding
        columns = {"word": word_column, "lemma": lemma_column, "tag": tag_column, "sense": sense_column}
        self._columns = {name: number for name, number in columns.items() if number is not None}
        if len(set(self._columns.values())) < len(self._columns):
            given = ", ".join(f"data.{name}_column={number}" for name, number in self._columns.items())
            raise InputError(f"{given}: expected different columns")

    def check(self) -> None:
        self._find()

    def describe(self) -> dict[str, Any]:
        return {
            "files": self._find(),
            "columns": self._columns,
            "document_prefix": self._prefix,
            "encoding": self._encoding,
        }

    def sentences(self) -> Iterator[SenseSentence]:
        return chain.from_iterable(map(self._read, self._find()))

    def _find(self) -> list[File]:
        if self._patterns is None:
            raise InputError("data.files: missing; give a path or a glob")
        return find_files(self._patterns, key="data.files")

    def _read(self, path: File) -> Iterator[SenseSentence]:
        document, first = path.name, 0
        rows: list[list[str]] = []
        num_columns = 0
        for number, line in _numbered(path, self._encoding):
            is_opening = self._prefix is not None and line.startswith(self._prefix) and "\t" not in line
            if is_opening or not line.strip():
                if rows:
                    yield self._sentence(path, document, first, rows)
                    rows = []
                if is_opening:
                    document = line.removeprefix(self._prefix or "").strip() or path.name
                continue
            row = line.split("\t")
            num_columns = num_columns or self._check_columns(row, f"{path}:{number}")
            if len(row) != num_columns:
                raise InputError(
                    f"{path}:{number}: {_counted(row)}, but the file's first word has {num_columns}"
                )
            first = first if rows else number
            rows.append(row)
        if rows:
            yield self._sentence(path, document, first, rows)

    def _check_columns(self, row: Sequence[str], place: str) -> int:
        """The number of columns; InputError if one that is needed is missing."""
        for name, number in self._columns.items():
            if number > len(row):
                raise InputError(
                    f"{place}: no column {number} (data.{name}_column); the line {shown(' '.join(row))} has"
                    f" {_counted(row)}, which tabs separate"
                )
        return len(row)

    def _sentence(
        self, path: File, document: str, first: int, rows: Sequence[Sequence[str]]
    ) -> SenseSentence:
        """The sentence of lines that follow each other from the line `first` on."""
        words, senses = [], []
        for position, row in enumerate(rows):
            found = {name: row[number - 1].strip() for name, number in self._columns.items()}
            place = f"{path}:{first + position}"
            if not found["word"]:
                raise InputError(f"{place}: no word in column {self._columns['word']} (data.word_column)")
            words.append(found["word"])
            if found["sense"]:
                if not found["lemma"]:
                    raise InputError(f"{place}: the sense {shown(found['sense'])} of no lemma")
                senses.append(SenseTag(position, found["lemma"], found.get("tag", ""), found["sense"]))
        return SenseSentence(f"{path}:{first}", document, tuple(words), tuple(senses))


def _numbered(path: File, encoding: str) -> Iterator[tuple[int, str]]:
    batches = read_lines(path, encoding=encoding)
    return chain.from_iterable(enumerate(lines, first) for first, lines in batches)


def _counted(row: Sequence[str]) -> str:
    return f"{len(row)} column{'s' * (len(row) != 1)}"
