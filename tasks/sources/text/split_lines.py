"""Splits off missing dev and test splits from the training lines while reading, for texts of any length."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from elmo.errors import InputError
from tasks.sources.shared.split import Split, origin_of
from tasks.sources.text.source import LineBatch


@dataclass(frozen=True, kw_only=True)
class SplitLines:
    """Of every n non-blank lines, the last is for test and the middle one for dev.

    Only missing splits are taken. Lines are counted over all files; a paragraph of prose counts as one line.

    Args:
        split_every: the period n, 3 or more.
    """

    split_every: int

    def __post_init__(self) -> None:
        if self.split_every < 3:
            raise InputError(f"data.split_every: {self.split_every} must be 3 or more")

    def describe(self, split: Split, given: Collection[Split]) -> dict[str, Any]:
        """Everything that determines which lines a split has, in plain values for JSON."""
        places = self._places(given)
        return {"split_every": self.split_every, "taken": places} if self._is_cut(split, places) else {}

    def takes_all(self, split: Split, given: Collection[Split]) -> bool:
        """Whether a split has all lines of its origin."""
        return not self._is_cut(split, self._places(given))

    def share(self, split: Split, given: Collection[Split]) -> float:
        """The approximate fraction of the lines of its origin that a split has."""
        places = self._places(given)
        if not self._is_cut(split, places):
            return 1.0
        return 1 / self.split_every if split in places else 1 - len(places) / self.split_every

    def take(
        self, split: Split, given: Collection[Split], batches: Iterable[LineBatch]
    ) -> Iterator[LineBatch]:
        """A split's lines; the other lines become empty. `batches` are all lines of its origin.

        Raises:
            InputError: all lines are blank, or there are too few for the split.
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
                " paragraphs; make it smaller, or give texts of that split"
            )

    def _places(self, given: Collection[Split]) -> dict[Split, int]:
        """For each missing split, the numbers of its lines, modulo the period."""
        places: dict[Split, int] = {"dev": self.split_every // 2, "test": 0}
        return {split: place for split, place in places.items() if split not in given}

    def _is_cut(self, split: Split, places: Collection[Split]) -> bool:
        """Whether a split has only a part of its origin's lines."""
        return bool(places) and (split == "train" or split in places)
