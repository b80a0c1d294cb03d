"""Semantic roles from the user's CoNLL files, which have a column of arguments for each predicate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from elmo.errors import InputError
from elmo.registry import REGISTRY
from elmo.values import Range
from tasks.sources.shared.fraction import Fraction
from tasks.sources.shared.local_files import check_encoding
from tasks.sources.shared.remote_files import File
from tasks.sources.shared.split_files import SplitFiles
from tasks.sources.shared.split_shares import SplitShares
from tasks.sources.tagged.columns import ColumnForm, Delimiter, Sentence, read_sentences
from tasks.sources.tagged.schemes import DataScheme
from tasks.sources.tagged.source import TaggedSentence
from tasks.sources.tagged.tag_columns import tagged
from tasks.sources.tagged.tagged_paths import TaggedPaths

ColumnNumber = Annotated[int, Range(1, 1000)]
ColumnFromEnd = Annotated[int, Range(-1000, -1)]
_NO_PREDICATE = ("-", "_")


@REGISTRY.register("data", "srl_files")
class SrlFiles(TaggedPaths):
    """Semantic roles from files given by path or glob: an example for each predicate of a sentence.

    The form is that of CoNLL-2005 (Carreras and Marquez 2005) or CoNLL-2012 (Pradhan et al. 2012): the n-th
    word that is marked as a predicate has its arguments in the n-th of the columns of arguments. A sentence
    without predicates gives no example.

    Args:
        train: paths or globs of the training sentences; may only be missing if just other splits are
            evaluated.
        dev: the same for selecting the best model; None: a part of `train`.
        test: the same for the final scores; None: a part of `train`.
        word_column: the number, from 1, of the column of the words.
        predicate_column: the number of the column that marks predicates; `-` or `_` for all other words.
        first_argument_column: the number of the first predicate's column of arguments.
        last_argument_column: the number of the last predicate's, from the end (-1: the last column).
        delimiter: between the columns: `tab`, `space` (one or more), or `any` of both.
        has_comments: whether a line that begins with `#` is a comment.
        scheme: how the arguments are written.
        encoding: Python's name of the files' encoding; a byte-order mark is removed.
        language: ISO 639-1 code.
        test_share: fraction of the examples for `test`, if it is not given.
        dev_share: fraction of the remaining examples for `dev`, if it is not given.
        split_seed: seed of the split.
        fraction: of the training examples.
    """

    has_predicates = True

    def __init__(
        self,
        *,
        train: str | list[str] | None = None,
        dev: str | list[str] | None = None,
        test: str | list[str] | None = None,
        word_column: ColumnNumber = 4,
        predicate_column: ColumnNumber = 8,
        first_argument_column: ColumnNumber = 12,
        last_argument_column: ColumnFromEnd = -2,
        delimiter: Delimiter = "any",
        has_comments: bool = True,
        scheme: DataScheme = "brackets",
        encoding: str = "utf-8",
        language: str = "en",
        test_share: float = 0.2,
        dev_share: float = 0.1,
        split_seed: int = 1,
        fraction: Fraction = 1.0,
    ) -> None:
        check_encoding(encoding, key="data.encoding")
        super().__init__(
            files=SplitFiles(train=train, dev=dev, test=test),
            shares=SplitShares(test_share=test_share, dev_share=dev_share, split_seed=split_seed),
        )
        self.word_column = word_column
        self.predicate_column = predicate_column
        self.first_argument_column = first_argument_column
        self.last_argument_column = last_argument_column
        self.scheme = scheme
        self.encoding = encoding
        self.language = language
        self.fraction = fraction
        self._form = ColumnForm(delimiter=delimiter, has_comments=has_comments, names=None)

    def read_file(self, path: File, *, key: str) -> Iterator[TaggedSentence]:
        for sentence in read_sentences(path, form=self._form, encoding=self.encoding):
            yield from self._examples_of(sentence)

    def describe_columns(self) -> dict[str, Any]:
        names = ("word", "predicate", "first_argument", "last_argument")
        columns = {f"{name}_column": getattr(self, f"{name}_column") for name in names}
        form = {"delimiter": self._form.delimiter, "has_comments": self._form.has_comments}
        return {**columns, **form, "scheme": self.scheme, "encoding": self.encoding}

    def _examples_of(self, sentence: Sentence) -> Iterator[TaggedSentence]:
        words = sentence.values(sentence.index_of(self.word_column, "word_column", None))
        marks = sentence.values(sentence.index_of(self.predicate_column, "predicate_column", None))
        predicates = [place for place, mark in enumerate(marks) if mark not in _NO_PREDICATE]
        columns = range(self.first_argument_column - 1, len(sentence.rows[0]) + self.last_argument_column + 1)
        if len(columns) != len(predicates):
            raise InputError(
                f"{sentence.places()[0]}: the sentence has {len(predicates)} predicates"
                f" (data.predicate_column), but {len(columns)} columns of arguments"
                f" (data.first_argument_column={self.first_argument_column},"
                f" data.last_argument_column={self.last_argument_column})"
            )
        for predicate, column in zip(predicates, columns, strict=True):
            yield tagged(
                words,
                sentence.values(column),
                scheme=self.scheme,
                places=sentence.places(),
                predicate=predicate,
            )
