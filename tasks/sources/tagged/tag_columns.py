"""Turns the columns of files and tables into tagged sentences: the words, the tags, and their scheme."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, TypeAlias

from elmo.errors import InputError, faults_of, shown, shown_with_type
from elmo.values import Range
from tasks.sources.labelled.text_table import refuse_missing
from tasks.sources.shared.remote_files import File
from tasks.sources.shared.rows import (
    TABLE_SUFFIXES,
    Column,
    Row,
    read_rows,
    refuse_half_characters,
    suffix_of,
)
from tasks.sources.tagged.columns import ColumnForm, Sentence, read_sentences
from tasks.sources.tagged.schemes import DataScheme, to_bio
from tasks.sources.tagged.source import TaggedSentence

ColumnChoice: TypeAlias = str | Annotated[int, Range(-1000, 1000)]

LOG = logging.getLogger(__name__)

TABLES = tuple(suffix for suffix in TABLE_SUFFIXES if suffix not in (".csv", ".tsv"))  # of lists of words


@dataclass(frozen=True, kw_only=True)
class TagColumns:
    """The columns of a sentence's words and tags, and how to read them.

    Args:
        word_column: the column of the words, in a table of a list of them: its name, or in a CoNLL file its
            number from 1 (-1 is the last one).
        tag_column: the column of the tags, one for each word.
        scheme: how tags write spans; see `tasks.sources.tagged.schemes`.
        tag_names: in tables with numbers as tags, the names of the numbers from 0.
        form: of CoNLL files.
        encoding: of all files but parquet.

    Raises:
        InputError: a column is 0.
    """

    word_column: ColumnChoice
    tag_column: ColumnChoice
    scheme: DataScheme
    tag_names: tuple[str, ...] | None
    form: ColumnForm
    encoding: str

    def __post_init__(self) -> None:
        for key, column in (("word_column", self.word_column), ("tag_column", self.tag_column)):
            if column == 0:
                raise InputError(
                    f"data.{key}: 0 is no column; they are numbered from 1, from the last one -1"
                )

    def describe(self) -> dict[str, Any]:
        """Everything that determines how a sentence is read, in plain values for JSON."""
        return asdict(self)

    def read_file(self, path: File, *, key: str) -> Iterator[TaggedSentence]:
        """The sentences of a file: jsonl, json or parquet with lists, otherwise a CoNLL file."""
        if suffix_of(path) in TABLES:
            return self.read_rows(read_rows(path, encoding=self.encoding, has_header=True, key=key))
        sentences = read_sentences(path, form=self.form, encoding=self.encoding)
        return map(self._of_columns, sentences)

    def read_rows(self, rows: Iterable[Row]) -> Iterator[TaggedSentence]:
        """The sentences of a table's rows; those without words are left out, with a warning."""
        num_empty, place = 0, ""
        for row in rows:
            place = row.place
            try:
                words = _words(row, self.word_column)
                tags = self._tags(row, len(words))
            except InputError as error:
                raise InputError(f"{place}: {error}") from error
            if words:
                yield tagged(words, tags, scheme=self.scheme, places=[place] * len(words))
            else:
                num_empty += 1
        if num_empty:
            LOG.warning("%s: %d sentences without words were left out", place.rpartition(":")[0], num_empty)

    def _of_columns(self, sentence: Sentence) -> TaggedSentence:
        names = self.form.names_of(sentence.path)
        word_index = sentence.index_of(self.word_column, "word_column", names)
        tag_index = sentence.index_of(self.tag_column, "tag_column", names)
        if word_index == tag_index:
            raise InputError(
                f"{sentence.places()[0]}: data.word_column and data.tag_column are one column of"
                f" {len(sentence.rows[0])}; data.delimiter names what separates columns: tab, space or any"
            )
        words, tags = sentence.values(word_index), sentence.values(tag_index)
        return tagged(words, tags, scheme=self.scheme, places=sentence.places())

    def _tags(self, row: Row, num_words: int) -> list[str]:
        values = _list(row, self.tag_column, "tag_column")
        if len(values) != num_words:
            raise InputError(f"{num_words} words, but {len(values)} tags")
        return [self._tag(value) for value in values]

    def _tag(self, value: Any) -> str:
        if isinstance(value, str):
            if not value:
                raise InputError(f"an empty tag in column {self.tag_column!r} (data.tag_column)")
            refuse_half_characters(value)
            return value
        if not isinstance(value, int) or isinstance(value, bool):
            raise InputError(f"{shown(value)} is no tag (data.tag_column={self.tag_column})")
        if self.tag_names is None:
            return str(value)
        if not 0 <= value < len(self.tag_names):
            raise InputError(
                f"tag {value} has no name; data.tag_names has those of 0 to {len(self.tag_names) - 1}"
            )
        return self.tag_names[value]


def tagged(
    words: Sequence[str],
    tags: Sequence[str],
    *,
    scheme: DataScheme,
    places: Sequence[str],
    predicate: int | None = None,
) -> TaggedSentence:
    """A sentence with its tags in BIO.

    Args:
        words: at least one.
        tags: one for each word.
        scheme: of the tags.
        places: of each word, `file:line`.
        predicate: the position of the word that the tags are about.

    Raises:
        InputError: `file:line:` a tag is none of the scheme.
    """
    try:
        converted, num_broken = to_bio(tags, scheme=scheme)
    except InputError:
        for place, tag in zip(places, tags, strict=True):
            with faults_of(place):
                to_bio([tag], scheme=scheme)
        raise
    return TaggedSentence(places[predicate or 0], tuple(words), tuple(converted), predicate, num_broken)


def _words(row: Row, column: Column) -> list[str]:
    words = _list(row, column, "word_column")
    for word in words:
        if not isinstance(word, str) or not word or "\n" in word or "\r" in word:
            raise InputError(f"{shown(word)} is no word (data.word_column={column})")
        refuse_half_characters(word)
    return words


def _list(row: Row, column: Column, key: str) -> list[Any]:
    refuse_missing(column, key, row.values)
    values = row.values[column]
    if not isinstance(values, list):
        raise InputError(
            f"column {column!r} (data.{key}) has {shown_with_type(values)}, expected a list of them"
        )
    return values
