"""Labelled texts from the user's tables: csv, tsv, jsonl, json or parquet."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from elmo.registry import REGISTRY
from tasks.sources.labelled.columns import EmptyTexts, LabelledColumns, TextTable
from tasks.sources.labelled.source import LabelledSource, LabelledText, rarest_labels
from tasks.sources.shared.fraction import Fraction
from tasks.sources.shared.local_files import check_encoding
from tasks.sources.shared.rows import Delimiter, check_table, read_rows
from tasks.sources.shared.split import SPLITS, Split, origin_of
from tasks.sources.shared.split_files import SplitFiles
from tasks.sources.shared.split_shares import SplitShares


@REGISTRY.register("data", "labelled_files")
class LabelledFiles(LabelledSource):
    """Labelled texts from files given by path or glob.

    Args:
        train: paths or globs of the training texts; may only be missing if just other splits are evaluated.
        dev: the same for selecting the best model; None: a part of `train`.
        test: the same for the final scores; None: a part of `train`.
        text_column: the column of the text: its name or, in csv and tsv without header, its number from 1.
        second_text_column: the column of more text, which is added as a new paragraph (such as the body after
            a title); None: there is none.
        label_column: the column of the label or labels.
        id_column: the column of a text's unique name; None: its position in the file is its name.
        multi_label: whether a text may have several labels, or none.
        label_separator: separates a text's labels; None: they are a list (jsonl, json, parquet).
        empty_texts: `refuse` or `skip`.
        delimiter: between the fields of csv and tsv; None: a comma, a tab.
        encoding: Python's name of the encoding of all files but parquet; a byte-order mark is removed.
        prose: split texts into sentences; otherwise each line is a sentence.
        language: ISO 639-1 code, for sentence splitting.
        test_share: fraction of the texts for `test`, if it is not given.
        dev_share: fraction of the remaining texts for `dev`, if it is not given.
        split_seed: seed of the split.
        fraction: of the training texts, stratified by label.
    """

    def __init__(
        self,
        *,
        train: str | list[str] | None = None,
        dev: str | list[str] | None = None,
        test: str | list[str] | None = None,
        text_column: str | int = "text",
        second_text_column: str | int | None = None,
        label_column: str | int = "label",
        id_column: str | int | None = None,
        multi_label: bool = False,
        label_separator: str | None = None,
        empty_texts: EmptyTexts = "refuse",
        delimiter: Delimiter | None = None,
        encoding: str = "utf-8",
        prose: bool = True,
        language: str = "en",
        test_share: float = 0.2,
        dev_share: float = 0.1,
        split_seed: int = 1,
        fraction: Fraction = 1.0,
    ) -> None:
        check_encoding(encoding, key="data.encoding")
        self.multi_label = multi_label
        self.fraction = fraction
        self.prose = prose
        self.language = language
        self._files = SplitFiles(train=train, dev=dev, test=test)
        self._shares = SplitShares(test_share=test_share, dev_share=dev_share, split_seed=split_seed)
        self.table = TextTable(
            text_column=text_column,
            second_text_column=second_text_column,
            id_column=id_column,
            delimiter=delimiter,
            encoding=encoding,
        )
        self._columns = LabelledColumns(
            table=self.table,
            label_column=label_column,
            multi_label=multi_label,
            label_separator=label_separator,
            empty_texts=empty_texts,
        )

    def check_examples(self, splits: Collection[Split] = SPLITS) -> None:
        origins = {origin_of(split, self._files.given) for split in splits}
        for split, paths in self._files.find_all(origins).items():
            for path in paths:
                check_table(path, key=f"data.{split}")

    def describe_examples(self, split: Split) -> dict[str, Any]:
        given = self._files.given
        files = self._files.find(origin_of(split, given))
        options = {"columns": self._columns.describe(), "encoding": self.table.encoding}
        if self.table.delimiter is not None:
            options["delimiter"] = self.table.delimiter
        return {"files": files} | options | self._shares.describe(split, given)

    def examples(self, split: Split) -> Iterator[LabelledText]:
        return self._shares.take(split, self._files.given, self._read, rarest_labels)

    def _read(self, split: Split) -> Iterator[LabelledText]:
        return self._columns.read(
            row
            for path in self._files.find(split)
            for row in read_rows(
                path,
                encoding=self.table.encoding,
                has_header=self.table.has_header,
                key=f"data.{split}",
                delimiter=self.table.delimiter,
            )
        )
