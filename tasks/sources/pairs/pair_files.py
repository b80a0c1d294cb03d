"""Pairs of sentences from the user's tables: csv, tsv, jsonl, json or parquet."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from elmo.registry import REGISTRY
from tasks.sources.pairs.columns import EmptySides, PairColumns
from tasks.sources.pairs.pair_table import PairTable
from tasks.sources.pairs.source import PairExample, PairSource, Target, strata_of
from tasks.sources.shared.fraction import Fraction
from tasks.sources.shared.local_files import check_encoding
from tasks.sources.shared.rows import Delimiter, TableForm, check_table, read_rows
from tasks.sources.shared.split import SPLITS, Split, origin_of
from tasks.sources.shared.split_files import SplitFiles
from tasks.sources.shared.split_shares import SplitShares


@REGISTRY.register("data", "pair_files")
class PairFiles(PairSource):
    """Pairs from files given by path or glob.

    Args:
        train: paths or globs of the training pairs; may only be missing if just other splits are evaluated.
        dev: the same for selecting the best model; None: a part of `train`.
        test: the same for the final scores; None: a part of `train`.
        first_column, second_column: the columns of the sides: names or, in csv and tsv without header,
            numbers from 1.
        target: what is predicted: the `label` or the `score` of a pair.
        label_column: the column of the label, read if it is the target.
        score_column: the column of the score, read if it is the target.
        id_column: the column of a pair's unique name; None: its position in the file is its name.
        skipped_labels: pairs with one of these labels are left out, with a notice.
        empty_sides: `refuse` or `skip`.
        delimiter: between the fields of csv and tsv; None: a comma, a tab.
        encoding: Python's name of the encoding of all files but parquet; a byte-order mark is removed.
        file_form: csv, tsv, jsonl, json or parquet; None: what the file's name ends in.
        test_share: fraction of the pairs for `test`, if it is not given.
        dev_share: fraction of the remaining pairs for `dev`, if it is not given.
        split_seed: seed of the split.
        fraction: of the training pairs, stratified by label.
    """

    def __init__(
        self,
        *,
        train: str | list[str] | None = None,
        dev: str | list[str] | None = None,
        test: str | list[str] | None = None,
        first_column: str | int = "first",
        second_column: str | int = "second",
        target: Target = "label",
        label_column: str | int = "label",
        score_column: str | int = "score",
        id_column: str | int | None = None,
        skipped_labels: list[str] | None = None,
        empty_sides: EmptySides = "refuse",
        delimiter: Delimiter | None = None,
        encoding: str = "utf-8",
        file_form: TableForm | None = None,
        test_share: float = 0.2,
        dev_share: float = 0.1,
        split_seed: int = 1,
        fraction: Fraction = 1.0,
    ) -> None:
        check_encoding(encoding, key="data.encoding")
        self.target, self.fraction, self.file_form = target, fraction, file_form
        self._files = SplitFiles(train=train, dev=dev, test=test)
        self._shares = SplitShares(test_share=test_share, dev_share=dev_share, split_seed=split_seed)
        self.table = PairTable(
            first_column=first_column,
            second_column=second_column,
            id_column=id_column,
            delimiter=delimiter,
            encoding=encoding,
        )
        self._columns = PairColumns(
            table=self.table,
            target=target,
            label_column=label_column,
            score_column=score_column,
            skipped_labels=skipped_labels or (),
            empty_sides=empty_sides,
        )
        self._said: set[str] = set()

    def check_examples(self, splits: Collection[Split] = SPLITS) -> None:
        origins = {origin_of(split, self._files.given) for split in splits}
        for split, paths in self._files.find_all(origins).items():
            for path in paths:
                check_table(path, key=f"data.{split}", form=self.file_form)

    def describe_examples(self, split: Split) -> dict[str, Any]:
        given = self._files.given
        form = [self.table.encoding, self.table.delimiter, self.file_form]
        where = {"files": self._files.find(origin_of(split, given)), "form": form}
        return where | {"columns": self._columns.describe()} | self._shares.describe(split, given)

    def examples(self, split: Split) -> Iterator[PairExample]:
        return self._shares.take(split, self._files.given, self._read, strata_of)

    def _read(self, split: Split) -> Iterator[PairExample]:
        table = self.table
        for path in self._files.find(split):
            rows = read_rows(
                path,
                encoding=table.encoding,
                has_header=table.has_header,
                key=f"data.{split}",
                delimiter=table.delimiter,
                form=self.file_form,
            )
            yield from self._columns.read(rows, self._said)
