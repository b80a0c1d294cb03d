"""Reads CoNLL files: a word and its tags in a line, a blank line after each sentence; CoNLL-U, too."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Literal, NamedTuple, TypeAlias

from elmo.errors import InputError, shown
from tasks.sources.shared.local_files import read_lines
from tasks.sources.shared.remote_files import File
from tasks.sources.shared.rows import Column, suffix_of

Delimiter: TypeAlias = Literal["tab", "space", "any"]

LOG = logging.getLogger(__name__)

CONLLU_COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
_ID = "id"  # the column whose ranges of words (3-4) and empty words (5.1) are no words of the sentence
_NO_WORD = re.compile(r"\d+[-.]\d+")
_DOCUMENT = "-DOCSTART-"
_SPLITTERS: Mapping[str, Callable[[str], list[str]]] = {
    "tab": lambda line: line.split("\t"),
    # not split(): spaces of Unicode are part of words
    "space": lambda line: [field for field in line.split(" ") if field],
    "any": lambda line: [field for field in line.replace("\t", " ").split(" ") if field],
}


class Sentence(NamedTuple):
    """The lines of a sentence: the number of each one, and its columns; all lines have as many."""

    path: File
    numbers: list[int]
    rows: list[list[str]]

    def places(self) -> list[str]:
        """The place of each word, `file:line`."""
        name = str(self.path)
        return [f"{name}:{number}" for number in self.numbers]

    def index_of(self, column: Column, key: str, names: Sequence[str] | None) -> int:
        """The index of a column, from 0.

        Args:
            column: its name, or its number from 1; negative numbers count from the last column.
            key: the config key that gives it.
            names: of all columns; None: they have only numbers.

        Raises:
            InputError: `file:line:` there is no such column, or the columns are not those of the names.
        """
        size, place = len(self.rows[0]), f"{self.path}:{self.numbers[0]}"
        if isinstance(column, int):
            index = column - 1 if column > 0 else size + column
            if column and 0 <= index < size:
                return index
            raise InputError(f"{place}: no column {column} (data.{key}); {self._columns_told()}")
        if names is None or column not in names:
            known = f"only {', '.join(names)}" if names else "they have only numbers"
            raise InputError(f"{place}: no column {column!r} (data.{key}), {known}")
        if len(names) != size:
            raise InputError(
                f"{place}: expected the {len(names)} columns of data.columns; {self._columns_told()}"
            )
        return names.index(column)

    def values(self, index: int) -> list[str]:
        """A column of all words; InputError: `file:line:` a word has nothing in it."""
        values = [row[index] for row in self.rows]
        if "" in values:
            raise InputError(f"{self.places()[values.index('')]}: nothing in column {index + 1}")
        return values

    def _columns_told(self) -> str:
        line = shown(" ".join(self.rows[0]))
        return (
            f"the line {line} has {_columns(self.rows[0])}, which data.delimiter separates: tab, space or any"
        )


@dataclass(frozen=True, kw_only=True)
class ColumnForm:
    """The form of a CoNLL file.

    Args:
        delimiter: what separates columns: `tab`, `space` (one or more), or `any` of both.
        has_comments: whether a line that begins with `#` is a comment, as always where a column is named
            `id`.
        names: of the columns; None: those of CoNLL-U in a file `.conllu`, otherwise there are none.
    """

    delimiter: Delimiter
    has_comments: bool
    names: tuple[str, ...] | None

    def names_of(self, path: File) -> tuple[str, ...] | None:
        return CONLLU_COLUMNS if self.names is None and suffix_of(path) == ".conllu" else self.names


def read_sentences(path: File, *, form: ColumnForm, encoding: str) -> Iterator[Sentence]:
    """The sentences of a CoNLL file in order, without document lines (`-DOCSTART-`), ranges and empty words.

    Sentences of CoNLL-U that have no words, only comments or empty words, are left out, with a warning.

    Raises:
        InputError: `file:line:` a line has another number of columns than its sentence's first one, or is not
            numbered in CoNLL-U.
    """
    names = form.names_of(path)
    id_index = names.index(_ID) if names and _ID in names else None
    num_empty = 0
    for lines in _blocks(path, encoding):
        sentence = _sentence_of(path, lines, form=form, id_index=id_index)
        if sentence.rows:
            yield sentence
        elif id_index is not None:
            num_empty += 1
    if num_empty:
        LOG.warning("%s: %d sentences without words were left out", path, num_empty)


def _blocks(path: File, encoding: str) -> Iterator[list[tuple[int, str]]]:
    """The numbers and texts of the lines between blank ones."""
    batches = read_lines(path, encoding=encoding)
    numbered = chain.from_iterable(enumerate(lines, first) for first, lines in batches)
    for is_blank, lines in groupby(numbered, key=lambda line: not line[1] or line[1].isspace()):
        if not is_blank:
            yield list(lines)


def _sentence_of(
    path: File, lines: Iterable[tuple[int, str]], *, form: ColumnForm, id_index: int | None
) -> Sentence:
    """The words of a block of lines, perhaps none."""
    split = _SPLITTERS[form.delimiter]
    has_comments = form.has_comments or id_index is not None
    numbers, rows = list[int](), list[list[str]]()
    for number, line in lines:
        if (has_comments and line[0] == "#") or line.startswith(_DOCUMENT):
            continue
        row = split(line)
        if rows and len(row) != len(rows[0]):
            raise InputError(
                f"{path}:{number}: {_columns(row)}, but the first line of the sentence has {len(rows[0])}"
            )
        if id_index is None or _is_word(row, id_index, f"{path}:{number}"):
            numbers.append(number)
            rows.append(row)
    return Sentence(path, numbers, rows)


def _is_word(row: list[str], index: int, place: str) -> bool:
    """Whether a line of CoNLL-U is a word, neither a range (3-4) nor an empty one (5.1)."""
    id = row[index] if index < len(row) else ""
    if id.isdecimal():
        return True
    if not _NO_WORD.fullmatch(id):
        raise InputError(
            f"{place}: {shown(id)} is no number of a word in CoNLL-U; the line has {_columns(row)}, which"
            " data.delimiter separates: tab, space or any"
        )
    return False


def _columns(row: list[str]) -> str:
    return f"{len(row)} column{'s' * (len(row) != 1)}"
