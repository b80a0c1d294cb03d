"""Splits that a text lacks are taken off its training lines while they are read, however long it is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from elmo.errors import InputError
from tasks.sources.shared.split import Split, origin_of
from tasks.sources.text.source import LineBatch


@dataclass(frozen=True, kw_only=True)
class SplitLines:
    """Of every n lines that are not blank, the last one is for test and the middle one for dev.

    Only splits that are not given are taken. Lines are counted over all files; a paragraph of prose that
    fills several lines is one.

    Args:
        split_every: the period n, 3 or more.
    """

    split_every: int

    def __post_init__(self) -> None:
        if self.split_every < 3:
            raise InputError(f"data.split_every: {self.split_every} must be 3 or more")

    def describe(self, split: Split, given: Collection[Split]) -> dict[str, Any]:
        """All that decides which lines of its origin a split has, plain values for JSON."""
        places = self._places(given)
        return {"split_every": self.split_every, "taken": places} if self._is_cut(split, places) else {}

    def share(self, split: Split, given: Collection[Split]) -> float:
        """About which share of its origin a split has."""
        places = self._places(given)
        if not self._is_cut(split, places):
            return 1.0
        return 1 / self.split_every if split in places else 1 - len(places) / self.split_every

    def take(
        self, split: Split, given: Collection[Split], batches: Iterable[LineBatch]
    ) -> Iterator[LineBatch]:
        """A split's lines, with nothing in the places of others; `batches` are all lines of its origin.

        Raises:
            InputError: all lines are blank, or they are too few for the split.
        """
        places = self._places(given)
        split_of: dict[int, Split] = {place: taken for taken, place in places.items()}
        num_units, name = 0, ""
        for batch in batches:
            name = name or batch.name
            units = [index for index, line in enumerate(batch.lines) if line and not line.isspace()]
            if self._is_cut(split, places):
                kept = [""] * len(batch.lines)
                for number, index in enumerate(units, start=num_units + 1):
                    if split_of.get(number % self.split_every, "train") == split:
                        kept[index] = batch.lines[index]
                batch = batch._replace(lines=kept)
            num_units += len(units)
            yield batch
        if not num_units:
            raise InputError(f"data.{origin_of(split, given)}: only blank lines in {name}")
        if num_units < (places.get(split, 1) or self.split_every):
            raise InputError(
                f"data.split_every: {self.split_every} leaves nothing for {split} of {num_units} lines or"
                f" paragraphs; make it smaller or give data.{split}"
            )

    def _places(self, given: Collection[Split]) -> dict[Split, int]:
        """For each split that is taken, which numbers of lines it gets, modulo the period."""
        places: dict[Split, int] = {"dev": self.split_every // 2, "test": 0}
        return {split: place for split, place in places.items() if split not in given}

    def _is_cut(self, split: Split, places: Collection[Split]) -> bool:
        """Whether a split is less than its origin."""
        return bool(places) and (split == "train" or split in places)
