"""Data sets of the Hugging Face hub, or local files with the same columns."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from elmo.errors import InputError
from elmo.registry import REGISTRY
from tasks.sources.shared.hub_access import load_split
from tasks.sources.shared.local_files import BATCH_SIZE, count_bytes, describe_files, find_files, stream_table
from tasks.sources.text.source import SPLITS, LineBatch, Source, Split

_BUILDERS = {".parquet": "parquet", ".json": "json", ".jsonl": "json", ".csv": "csv", ".txt": "text"}


@REGISTRY.register("data", "hub")
class HubSource(Source):
    """A data set by its name on the hub; downloaded once, then found without network.

    Args:
        name: as the hub has it, `owner/name`.
        config: which of its configurations; None: the only one.
        revision: a branch or commit; None: the newest (a store that was prepared before is still used).
        text_column: the column with the text; a row is a sentence, or prose.
        train_split: the split to learn from.
        heldout_split: the split to evaluate on.
        skip: a regular expression; rows that match it as a whole are left out, as blank ones are; None: none.
        prose: whether rows are split into sentences.
        language: ISO 639-1, for splitting prose.
        train: paths or globs of local files instead of the hub's split (parquet, jsonl, json, csv, txt).
        heldout: the same for the held-out split.
    """

    def __init__(
        self,
        *,
        name: str,
        config: str | None = None,
        revision: str | None = None,
        text_column: str = "text",
        train_split: str = "train",
        heldout_split: str = "validation",
        skip: str | None = None,
        prose: bool = False,
        language: str = "en",
        train: str | list[str] | None = None,
        heldout: str | list[str] | None = None,
    ) -> None:
        try:
            self._skip = re.compile(skip) if skip else None
        except re.error as error:
            raise InputError(f"data.skip: {skip!r} is no regular expression: {error}") from error
        self.name = name
        self.config = config
        self.revision = revision
        self.text_column = text_column
        self.train_split = train_split
        self.heldout_split = heldout_split
        self.skip = skip
        self.prose = prose
        self.language = language
        self.train = train
        self.heldout = heldout

    def check(self, splits: Collection[Split] = SPLITS) -> None:
        for split in splits:
            for path in self._files(split) or []:
                _builder_of(path, f"data.{split}")

    def fingerprint(self, split: Split) -> dict[str, Any]:
        files = self._files(split)
        text: dict[str, Any] = {"name": self.name, "config": self.config, "revision": self.revision}
        text["split"] = self._hub_split(split)
        if files is not None:
            text = {"files": describe_files(files)}
        options = ("text_column", "skip", "prose", "language")
        return text | {option: getattr(self, option) for option in options}

    def num_bytes(self, split: Split) -> int | None:
        files = self._files(split) or []
        return count_bytes(files) if files and all(path.suffix == ".txt" for path in files) else None

    def lines(self, split: Split) -> Iterator[LineBatch]:
        files = self._files(split)
        if files is None:
            yield from self._lines_of(f"{self.name}:{self._hub_split(split)}", self._stream_hub(split))
            return
        for path in files:
            key = f"data.{split}"
            yield from self._lines_of(str(path), stream_table(_builder_of(path, key), path, key=key))

    def _files(self, split: Split) -> list[Path] | None:
        patterns = self.train if split == "train" else self.heldout
        return None if patterns is None else find_files(patterns, key=f"data.{split}")

    def _hub_split(self, split: Split) -> str:
        return self.train_split if split == "train" else self.heldout_split

    def _stream_hub(self, split: Split) -> Iterator[dict[str, list[Any]]]:
        dataset = load_split(
            self.name,
            config=self.config,
            revision=self.revision,
            split=self._hub_split(split),
            advice="local files will do: data=text data.train='...' data.heldout='...'",
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
            raise InputError(f"{name}:{number}: column {self.text_column!r} holds {row!r}, which is no text")
        line = " ".join(row.splitlines()) if "\n" in row else row  # so that a row is one line
        return "" if self._skip and self._skip.fullmatch(line) else line


def _builder_of(path: Path, key: str) -> str:
    suffixes = [suffix for suffix in path.suffixes[-2:] if suffix != ".gz"]
    builder = _BUILDERS.get(suffixes[-1]) if suffixes else None
    if builder is None:
        raise InputError(f"{key}: {path} is none of {', '.join(_BUILDERS)}; for plain text use data=text")
    return builder
