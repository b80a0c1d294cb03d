"""Tagged sentences from the Hugging Face hub, or from local files of the hub's columns or in CoNLL format."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from elmo.registry import REGISTRY
from tasks.sources.shared.fraction import Fraction
from tasks.sources.shared.hub_access import hub_label_names
from tasks.sources.shared.hub_data import HubData
from tasks.sources.shared.local_files import check_encoding
from tasks.sources.shared.remote_files import File
from tasks.sources.shared.rows import Row
from tasks.sources.shared.split import SPLITS, Split
from tasks.sources.shared.split_files import SplitFiles
from tasks.sources.shared.split_shares import SplitShares
from tasks.sources.tagged.columns import ColumnForm, Delimiter
from tasks.sources.tagged.schemes import DataScheme
from tasks.sources.tagged.source import TaggedSentence, TaggedSource, no_strata
from tasks.sources.tagged.tag_columns import TagColumns


@REGISTRY.register("data", "tagged_hub")
class TaggedHub(TaggedSource):
    """A data set on the hub; downloaded once, then available offline.

    If local files of any split are given, no split is downloaded. They are jsonl, json or parquet with the
    hub's columns, or CoNLL files, whose columns `columns` names as the hub does.

    Args:
        name: its name on the hub, `owner/name`.
        config: the name of its configuration; None: the only one.
        revision: a branch or commit; None: the newest.
        train_split: the hub's split for training.
        dev_split: the hub's split for selecting the best model; None: a part of the training sentences.
        test_split: the hub's split for the final scores; None: a part of the training sentences.
        word_column: the name of the column of the words.
        tag_column: the name of the column of the tags.
        tag_names: the names of tags that are numbers, from 0; None: the hub's names.
        scheme: how tags write spans; `none`: they are none, such as parts of speech.
        language: ISO 639-1 code.
        train: paths or globs of local files instead of the hub's.
        dev: the same for the dev split; None: a part of the training sentences.
        test: the same for the test split; None: a part of the training sentences.
        columns: the names of a CoNLL file's columns. Where one is named `id`, its ranges of words (3-4) and
            empty words (5.1) are left out, and lines that begin with `#` are comments.
        delimiter: between the columns of CoNLL files: `tab`, `space` (one or more), or `any` of both.
        encoding: Python's name of the encoding of local files but parquet.
        test_share: fraction of the sentences for `test`, if there is none.
        dev_share: fraction of the remaining sentences for `dev`, if there is none.
        split_seed: seed of the split.
        fraction: of the training sentences.
    """

    def __init__(
        self,
        *,
        name: str,
        config: str | None = None,
        revision: str | None = None,
        train_split: str = "train",
        dev_split: str | None = "validation",
        test_split: str | None = "test",
        word_column: str = "tokens",
        tag_column: str = "ner_tags",
        tag_names: list[str] | None = None,
        scheme: DataScheme = "bio",
        language: str = "en",
        train: str | list[str] | None = None,
        dev: str | list[str] | None = None,
        test: str | list[str] | None = None,
        columns: list[str],
        delimiter: Delimiter = "any",
        encoding: str = "utf-8",
        test_share: float = 0.2,
        dev_share: float = 0.1,
        split_seed: int = 1,
        fraction: Fraction = 1.0,
    ) -> None:
        check_encoding(encoding, key="data.encoding")
        self.scheme = scheme
        self.language = language
        self.fraction = fraction
        self._data = HubData(
            name=name,
            config=config,
            revision=revision,
            hub_splits={"train": train_split, "dev": dev_split, "test": test_split},
            files=SplitFiles(train=train, dev=dev, test=test),
            shares=SplitShares(test_share=test_share, dev_share=dev_share, split_seed=split_seed),
        )
        self._columns = TagColumns(
            word_column=word_column,
            tag_column=tag_column,
            scheme=scheme,
            tag_names=None if tag_names is None else tuple(tag_names),
            form=ColumnForm(delimiter=delimiter, has_comments=False, names=tuple(columns)),
            encoding=encoding,
        )

    def check_examples(self, splits: Collection[Split] = SPLITS) -> None:
        self._data.files(splits)

    def describe_examples(self, split: Split) -> dict[str, Any]:
        return self._data.describe(split, files={}, columns=self._columns.describe())

    def examples(self, split: Split) -> Iterator[TaggedSentence]:
        return self._data.take(split, read_file=self._read_file, read_rows=self._read_rows, strata=no_strata)

    def _read_file(self, path: File, key: str) -> Iterator[TaggedSentence]:
        return self._columns.read_file(path, key=key)

    def _read_rows(self, rows: Iterator[Row], features: Mapping[Any, Any]) -> Iterator[TaggedSentence]:
        columns, names = self._columns, hub_label_names(features.get(self._columns.tag_column))
        if columns.tag_names is None and names is not None:
            columns = dataclasses.replace(columns, tag_names=tuple(names))
        return columns.read_rows(rows)
