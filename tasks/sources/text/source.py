"""The interface of a source of running text: description, check, and lines in order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from tasks.sources.shared.split import SPLITS, Split


class LineBatch(NamedTuple):
    """Consecutive lines of a source.

    A line is one sentence, or with `prose` one paragraph. Skipped lines are kept as empty ones, so that line
    i is always line `first_line + i` of the source. A paragraph of several lines is joined, with its line
    breaks, in its first line; its other lines are empty.
    """

    name: str  # of the file, or of the data set, for messages
    first_line: int  # from 1
    lines: list[str]
    prose: bool


class Source(ABC):
    """A text in three splits that are the same in every run."""

    language: str  # ISO 639-1; decides how prose is split into sentences

    @abstractmethod
    def check(self, splits: Collection[Split] = SPLITS) -> None:
        """Quick check, without reading the text; InputError if a split is missing or cannot be read."""

    @abstractmethod
    def describe(self, split: Split) -> dict[str, Any]:
        """Everything that determines a split's text, for `tasks.sources.shared.fingerprint`."""

    @abstractmethod
    def lines(self, split: Split) -> Iterator[LineBatch]:
        """A split's lines in order, a few thousand at a time; InputError at a fault of the text."""

    def num_bytes(self, split: Split) -> int | None:
        """The approximate number of bytes of a split's text, for the progress bar; None if unknown."""
        return None
