"""Pairs of sentences from the Hugging Face hub, or from local files as the data was first published."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from elmo.registry import REGISTRY
from tasks.sources.pairs.columns import EmptySides, PairColumns
from tasks.sources.pairs.pair_table import PairTable
from tasks.sources.pairs.source import PairExample, PairSource, Target, strata_of
from tasks.sources.shared.fraction import Fraction
from tasks.sources.shared.hub_access import hub_class_names
from tasks.sources.shared.hub_data import HubData
from tasks.sources.shared.remote_files import File
from tasks.sources.shared.rows import TABLE_SUFFIXES, Row, TableForm, check_table, read_rows, suffix_of
from tasks.sources.shared.split import SPLITS, Split
from tasks.sources.shared.split_files import SplitFiles
from tasks.sources.shared.split_shares import SplitShares


@REGISTRY.register("data", "pair_hub")
class PairHub(PairSource):
    """A data set on the hub; downloaded once, then available offline.

    If local files of any split are given, no split is downloaded. They are tables with a header.

    Args:
        name: its name on the hub, `owner/name`.
        config: the name of its configuration; None: the only one.
        revision: a branch or commit; None: the newest.
        train_split: the hub's split for training.
        dev_split: the hub's split for selecting the best model; None: a part of the training pairs.
        test_split: the hub's split for the final scores; None: a part of the training pairs.
        first_column, second_column: the columns of the sides.
        target: what is predicted: the `label` or the `score` of a pair.
        label_column: the column of the label, read if it is the target.
        score_column: the column of the score, read if it is the target.
        label_names: from a label in the data to its name; None: the hub's names.
        skipped_labels: pairs with one of these labels are left out, with a notice.
        empty_sides: `refuse` or `skip`.
        train: paths or globs of local files instead of the hub's.
        dev: the same for the dev split; None: a part of the training pairs.
        test: the same for the test split; None: a part of the training pairs.
        file_columns: the name that a column has in local files, where it is another one than the hub's.
        file_form: csv, tsv, jsonl, json or parquet, of local files whose names do not end in one of these.
        test_share: fraction of the pairs for `test`, if there is none.
        dev_share: fraction of the remaining pairs for `dev`, if there is none.
        split_seed: seed of the split.
        fraction: of the training pairs, stratified by label.
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
        first_column: str = "first",
        second_column: str = "second",
        target: Target = "label",
        label_column: str = "label",
        score_column: str = "score",
        label_names: dict[str, str] | None = None,
        skipped_labels: list[str] | None = None,
        empty_sides: EmptySides = "refuse",
        train: str | list[str] | None = None,
        dev: str | list[str] | None = None,
        test: str | list[str] | None = None,
        file_columns: dict[str, str] | None = None,
        file_form: TableForm | None = None,
        test_share: float = 0.2,
        dev_share: float = 0.1,
        split_seed: int = 1,
        fraction: Fraction = 1.0,
    ) -> None:
        self.target, self.fraction, self.file_form = target, fraction, file_form
        self._data = HubData(
            name=name,
            config=config,
            revision=revision,
            hub_splits={"train": train_split, "dev": dev_split, "test": test_split},
            files=SplitFiles(train=train, dev=dev, test=test),
            shares=SplitShares(test_share=test_share, dev_share=dev_share, split_seed=split_seed),
        )
        self.table = PairTable(first_column=first_column, second_column=second_column)
        self._columns = PairColumns(
            table=self.table,
            target=target,
            label_column=label_column,
            score_column=score_column,
            label_names=label_names,
            skipped_labels=skipped_labels or (),
            empty_sides=empty_sides,
            file_columns=file_columns or {},
        )
        self._said: set[str] = set()

    def check_examples(self, splits: Collection[Split] = SPLITS) -> None:
        for split, paths in self._data.files(splits).items():
            for path in paths:
                check_table(path, key=f"data.{split}", form=self._form_of(path))

    def describe_examples(self, split: Split) -> dict[str, Any]:
        return self._data.describe(split, files={"form": self.file_form}, columns=self._columns.describe())

    def examples(self, split: Split) -> Iterator[PairExample]:
        return self._data.take(split, read_file=self._read_file, read_rows=self._read_rows, strata=strata_of)

    def _form_of(self, path: File) -> TableForm | None:
        """The form of a local file; None: what its name says."""
        return None if suffix_of(path) in TABLE_SUFFIXES else self.file_form

    def _read_file(self, path: File, key: str) -> Iterator[PairExample]:
        rows = read_rows(path, encoding="utf-8", has_header=True, key=key, form=self._form_of(path))
        return self._columns.read(rows, self._said)

    def _read_rows(self, rows: Iterator[Row], features: Mapping[Any, Any]) -> Iterator[PairExample]:
        columns = self._columns
        if columns.label_names is None:
            names = hub_class_names(features.get(columns.label_column))
            columns = dataclasses.replace(columns, label_names=names)
        return columns.read(rows, self._said)
