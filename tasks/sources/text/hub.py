"""Data sets of the Hugging Face hub, or local files with the same columns."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Any

from elmo.errors import InputError
from elmo.registry import REGISTRY
from tasks.sources.shared.fraction import Fraction
from tasks.sources.shared.hub_access import load_split
from tasks.sources.shared.local_files import BATCH_SIZE, count_bytes, read_lines, read_parquet
from tasks.sources.shared.remote_files import File
from tasks.sources.shared.rows import read_rows, suffix_of
from tasks.sources.shared.split import SPLITS, Split, origin_of
from tasks.sources.shared.split_files import SplitFiles
from tasks.sources.text.source import LineBatch, Source
from tasks.sources.text.split_lines import SplitLines

_SUFFIXES = (".parquet", ".json", ".jsonl", ".csv", ".txt")


@REGISTRY.register("data", "hub")
class HubSource(Source):
    """A data set on the hub; downloaded once, then available offline, or read over the network.

    Args:
        name: its name on the hub, `owner/name`.
        config: the name of its configuration; None: the only one.
        revision: a branch or commit; None: the newest (an already prepared corpus is still used).
        streaming: read rows over the network while the text is prepared, for a data set that is larger than
            the disk; its files are then not kept.
        text_column: the column of the text; a row is a sentence, or with `prose` a paragraph.
        train_split: the hub's split for training.
        dev_split: the hub's split for selecting the best model; None: a part of the training rows.
        test_split: the hub's split for the final scores; None: a part of the training rows.
        skip: a regular expression; rows that it matches as a whole are skipped, as are blank rows; None:
            none.
        prose: split rows into sentences.
        language: ISO 639-1 code, for sentence splitting.
        train: paths or globs of local files (parquet, jsonl, json, csv, txt); if files of any split are
            given, no split is downloaded.
        dev: the same for the dev split; None: a part of the training rows.
        test: the same for the test split; None: a part of the training rows.
        split_every: the period for missing splits: of this many rows, the last is for test, the middle one
            for dev.
        fraction: of the training rows.
    """

    def __init__(
        self,
        *,
        name: str,
        config: str | None = None,
        revision: str | None = None,
        streaming: bool = False,
        text_column: str = "text",
        train_split: str = "train",
        dev_split: str | None = "validation",
        test_split: str | None = "test",
        skip: str | None = None,
        prose: bool = False,
        language: str = "en",
        train: str | list[str] | None = None,
        dev: str | list[str] | None = None,
        test: str | list[str] | None = None,
        split_every: int = 20,
        fraction: Fraction = 1.0,
    ) -> None:
        try:
            self._skip = re.compile(skip) if skip else None
        except re.error as error:
            raise InputError(f"data.skip: {skip!r} is not a regular expression: {error}") from error
        self.fraction = fraction
        self.name = name
        self.config = config
        self.revision = revision
        self.streaming = streaming
        self.text_column = text_column
        self.skip = skip
        self.prose = prose
        self.language = language
        self._hub_splits: dict[Split, str | None] = {
            "train": train_split,
            "dev": dev_split,
            "test": test_split,
        }
        self._files = SplitFiles(train=train, dev=dev, test=test)
        self._rule = SplitLines(split_every=split_every)

    def check(self, splits: Collection[Split] = SPLITS) -> None:
        if not self._files.given:
            return
        origins = {origin_of(split, self._files.given) for split in splits}
        for split, paths in self._files.find_all(origins).items():
            for path in paths:
                _check_table(path, f"data.{split}")

    def describe(self, split: Split) -> dict[str, Any]:
        origin = origin_of(split, self._given)
        if self._files.given:
            text: dict[str, Any] = {"files": self._files.find(origin)}
        else:
            text = {"name": self.name, "config": self.config, "revision": self.revision}
            text["hub_split"] = self._hub_splits[origin]
        options = {option: getattr(self, option) for option in ("text_column", "skip", "prose", "language")}
        return text | options | self._rule.describe(split, self._given)

    def num_bytes(self, split: Split) -> int | None:
        if not self._files.given:
            return None
        files = self._files.find(origin_of(split, self._given))
        total = count_bytes(files) if all(path.suffix == ".txt" for path in files) else None
        return None if total is None else int(total * self._rule.share(split, self._given))

    def lines(self, split: Split) -> Iterator[LineBatch]:
        origin = origin_of(split, self._given)
        return self._rule.take(split, self._given, self._read(origin))

    @property
    def _given(self) -> tuple[Split, ...]:
        return self._files.given or tuple(split for split in SPLITS if self._hub_splits[split] is not None)

    def _read(self, split: Split) -> Iterator[LineBatch]:
        """All rows of a split that the data has."""
        if not self._files.given:
            name = str(self._hub_splits[split])
            yield from self._lines_of(f"{self.name}:{name}", self._stream_hub(name))
            return
        for path in self._files.find(split):
            yield from self._lines_of(str(path), _read_table(path, f"data.{split}"))

    def _stream_hub(self, name: str) -> Iterator[dict[str, list[Any]]]:
        dataset = load_split(
            self.name,
            config=self.config,
            revision=self.revision,
            split=name,
            streaming=self.streaming,
            advice="local files will do: data=text data.train='...'",
        )
        yield from dataset.iter(batch_size=BATCH_SIZE)

    def _lines_of(self, name: str, batches: Iterator[dict[str, list[Any]]]) -> Iterator[LineBatch]:
        first_row = 1
        for batch in batches:
            if self.text_column not in batch:
                raise InputError(
                    f"data.text_column: {name} has no {self.text_column!r}, only {', '.join(batch)}"
                )
            rows = batch[self.text_column]
            lines = [self._line_of(row, name, number) for number, row in enumerate(rows, start=first_row)]
            yield LineBatch(name, first_row, lines, self.prose)
            first_row += len(rows)

    def _line_of(self, row: Any, name: str, number: int) -> str:
        if not isinstance(row, str):
            raise InputError(
                f"{name}:{number}: column {self.text_column!r} contains {row!r}, which is not text"
            )
        line = " ".join(row.splitlines()) if "\n" in row else row  # so that a row is one line
        return "" if self._skip and self._skip.fullmatch(line) else line


def _check_table(path: File, key: str) -> None:
    if suffix_of(path) not in _SUFFIXES:
        raise InputError(f"{key}: {path} is none of {', '.join(_SUFFIXES)}; for plain text use data=text")


def _read_table(path: File, key: str) -> Iterator[dict[Any, list[Any]]]:
    """The rows of a file in batches of columns; the only column of a txt file is `text`."""
    if suffix_of(path) == ".parquet":
        yield from read_parquet(path, key=key)
    elif suffix_of(path) == ".txt":
        yield from ({"text": lines} for _, lines in read_lines(path, encoding="utf-8"))
    else:
        rows = read_rows(path, encoding="utf-8", has_header=True, key=key)
        while batch := [row.values for row in islice(rows, BATCH_SIZE)]:
            yield {column: [values.get(column) for values in batch] for column in batch[0]}
