"""Labelled texts from the Hugging Face hub, or from local files in the hub's or the original format."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from elmo.errors import InputError
from elmo.registry import REGISTRY
from tasks.sources.labelled.columns import EmptyTexts, LabelledColumns, TextTable
from tasks.sources.labelled.source import LabelledSource, LabelledText, rarest_labels
from tasks.sources.shared.fraction import Fraction
from tasks.sources.shared.hub_access import hub_class_names
from tasks.sources.shared.hub_data import HubData
from tasks.sources.shared.local_files import check_encoding
from tasks.sources.shared.remote_files import File
from tasks.sources.shared.rows import Row, check_table, match_lines, read_rows, suffix_of
from tasks.sources.shared.split import SPLITS, Split
from tasks.sources.shared.split_files import SplitFiles
from tasks.sources.shared.split_shares import SplitShares

_TABLES_OF_THE_HUB = (".jsonl", ".json", ".parquet")


@REGISTRY.register("data", "labelled_hub")
class LabelledHub(LabelledSource):
    """A data set on the hub; downloaded once, then available offline.

    If local files of any split are given, no split is downloaded. With `line_pattern`, local files other than
    jsonl, json and parquet are read in the format in which the data set was originally published; without,
    they are tables with a header.

    Args:
        name: its name on the hub, `owner/name`.
        config: the name of its configuration; None: the only one.
        revision: a branch or commit; None: the newest.
        train_split: the hub's split for training.
        dev_split: the hub's split for selecting the best model; None: a part of the training texts.
        test_split: the hub's split for the final scores; None: a part of the training texts.
        text_column: the column of the text.
        label_column: the column of the label, or of a list of labels.
        label_names: from a label in the data to its name; None: the hub's names.
        multi_label: whether a text may have several labels, or none.
        empty_texts: `refuse` or `skip`.
        blank_pattern: a regular expression; its matches in texts, such as markup, are replaced by a space.
            None: nothing is replaced.
        prose: split texts into sentences; otherwise each line is a sentence.
        language: ISO 639-1 code, for sentence splitting.
        train: paths or globs of local files instead of the hub's.
        dev: the same for the dev split; None: a part of the training texts.
        test: the same for the test split; None: a part of the training texts.
        line_pattern: a regular expression with a group for each column, for lines in the original format; the
            line of a csv is its fields, joined by tabs. None: there is no such format.
        line_label_names: the same as `label_names`, for that format.
        line_encoding: Python's name of that format's encoding.
        test_share: fraction of the texts for `test`, if there is none.
        dev_share: fraction of the remaining texts for `dev`, if there is none.
        split_seed: seed of the split.
        fraction: of the training texts, stratified by label.
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
        text_column: str = "text",
        label_column: str = "label",
        label_names: dict[str, str] | None = None,
        multi_label: bool = False,
        empty_texts: EmptyTexts = "refuse",
        blank_pattern: str | None = None,
        prose: bool = True,
        language: str = "en",
        train: str | list[str] | None = None,
        dev: str | list[str] | None = None,
        test: str | list[str] | None = None,
        line_pattern: str | None = None,
        line_label_names: dict[str, str] | None = None,
        line_encoding: str = "utf-8",
        test_share: float = 0.2,
        dev_share: float = 0.1,
        split_seed: int = 1,
        fraction: Fraction = 1.0,
    ) -> None:
        check_encoding(line_encoding, key="data.line_encoding")
        self.multi_label = multi_label
        self.fraction = fraction
        self.prose = prose
        self.language = language
        self.line_pattern = line_pattern
        self.line_encoding = line_encoding
        self._data = HubData(
            name=name,
            config=config,
            revision=revision,
            hub_splits={"train": train_split, "dev": dev_split, "test": test_split},
            files=SplitFiles(train=train, dev=dev, test=test),
            shares=SplitShares(test_share=test_share, dev_share=dev_share, split_seed=split_seed),
        )
        self.table = TextTable(text_column=text_column, blank_pattern=blank_pattern)
        self._columns = LabelledColumns(
            table=self.table,
            label_column=label_column,
            label_names=label_names,
            multi_label=multi_label,
            empty_texts=empty_texts,
        )
        self._line_columns = dataclasses.replace(self._columns, label_names=line_label_names)
        self._line_form = _compile(line_pattern, needed=(text_column, label_column))

    def check_examples(self, splits: Collection[Split] = SPLITS) -> None:
        for split, paths in self._data.files(splits).items():
            for path in paths:
                if not self._is_published_form(path):
                    check_table(path, key=f"data.{split}")

    def describe_examples(self, split: Split) -> dict[str, Any]:
        lines = [self.line_pattern, self.line_encoding, self._line_columns.describe()]
        return self._data.describe(split, files={"lines": lines}, columns=self._columns.describe())

    def examples(self, split: Split) -> Iterator[LabelledText]:
        return self._data.take(
            split, read_file=self._read_file, read_rows=self._read_rows, strata=rarest_labels
        )

    def _read_file(self, path: File, key: str) -> Iterator[LabelledText]:
        if self._line_form is not None and self._is_published_form(path):
            lines = match_lines(path, pattern=self._line_form, encoding=self.line_encoding)
            return self._line_columns.read(lines)
        return self._columns.read(read_rows(path, encoding="utf-8", has_header=True, key=key))

    def _is_published_form(self, path: File) -> bool:
        return self._line_form is not None and suffix_of(path) not in _TABLES_OF_THE_HUB

    def _read_rows(self, rows: Iterator[Row], features: Mapping[Any, Any]) -> Iterator[LabelledText]:
        columns = self._columns
        if columns.label_names is None:
            names = hub_class_names(features.get(columns.label_column))
            columns = dataclasses.replace(columns, label_names=names)
        return columns.read(rows)


def _compile(pattern: str | None, *, needed: tuple[str, ...]) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern, re.DOTALL)
    except re.error as error:
        raise InputError(f"data.line_pattern: {pattern!r} is not a regular expression: {error}") from error
    for column in needed:
        if column not in compiled.groupindex:
            raise InputError(f"data.line_pattern: {pattern!r} has no group named {column!r}")
    return compiled
