"""Tagged sentences from the user's files: CoNLL columns, CoNLL-U, jsonl, json or parquet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from elmo.registry import REGISTRY
from tasks.sources.shared.fraction import Fraction
from tasks.sources.shared.local_files import check_encoding
from tasks.sources.shared.remote_files import File
from tasks.sources.shared.split_files import SplitFiles
from tasks.sources.shared.split_shares import SplitShares
from tasks.sources.tagged.columns import ColumnForm, Delimiter
from tasks.sources.tagged.schemes import DataScheme
from tasks.sources.tagged.source import TaggedSentence
from tasks.sources.tagged.tag_columns import ColumnChoice, TagColumns
from tasks.sources.tagged.tagged_paths import TaggedPaths


@REGISTRY.register("data", "tagged_files")
class TaggedFiles(TaggedPaths):
    """Tagged sentences from files given by path or glob, perhaps compressed.

    Files named jsonl, json or parquet are tables with a list of words and one of tags in each row; all others
    have a word a line.

    Args:
        train: paths or globs of the training sentences; may only be missing if just other splits are
            evaluated.
        dev: the same for selecting the best model; None: a part of `train`.
        test: the same for the final scores; None: a part of `train`.
        word_column: the column of the words: its number from 1 (-1 is the last one), or its name in tables,
            CoNLL-U (`form`) and where `columns` names it.
        tag_column: the column of the tags.
        columns: the names of a CoNLL file's columns; None: those of CoNLL-U in a file `.conllu`, otherwise
            there are none. Where one is named `id`, its ranges of words (3-4) and empty words (5.1) are left
            out, and lines that begin with `#` are comments.
        delimiter: between the columns of CoNLL files: `tab`, `space` (one or more), or `any` of both.
        has_comments: whether in CoNLL files a line that begins with `#` is a comment.
        scheme: how tags write spans; `none`: they are none, such as parts of speech.
        tag_names: the names of tags that are numbers, from 0; None: they have none.
        encoding: Python's name of the encoding of all files but parquet; a byte-order mark is removed.
        language: ISO 639-1 code.
        test_share: fraction of the sentences for `test`, if it is not given.
        dev_share: fraction of the remaining sentences for `dev`, if it is not given.
        split_seed: seed of the split.
        fraction: of the training sentences.
    """

    def __init__(
        self,
        *,
        train: str | list[str] | None = None,
        dev: str | list[str] | None = None,
        test: str | list[str] | None = None,
        word_column: ColumnChoice = 1,
        tag_column: ColumnChoice = -1,
        columns: list[str] | None = None,
        delimiter: Delimiter = "any",
        has_comments: bool = False,
        scheme: DataScheme = "bio",
        tag_names: list[str] | None = None,
        encoding: str = "utf-8",
        language: str = "en",
        test_share: float = 0.2,
        dev_share: float = 0.1,
        split_seed: int = 1,
        fraction: Fraction = 1.0,
    ) -> None:
        check_encoding(encoding, key="data.encoding")
        self.scheme = scheme
        self.language = language
        self.fraction = fraction
        super().__init__(
            files=SplitFiles(train=train, dev=dev, test=test),
            shares=SplitShares(test_share=test_share, dev_share=dev_share, split_seed=split_seed),
        )
        self._columns = TagColumns(
            word_column=word_column,
            tag_column=tag_column,
            scheme=scheme,
            tag_names=None if tag_names is None else tuple(tag_names),
            form=ColumnForm(
                delimiter=delimiter,
                has_comments=has_comments,
                names=None if columns is None else tuple(columns),
            ),
            encoding=encoding,
        )

    def read_file(self, path: File, *, key: str) -> Iterator[TaggedSentence]:
        return self._columns.read_file(path, key=key)

    def describe_columns(self) -> dict[str, Any]:
        return self._columns.describe()
