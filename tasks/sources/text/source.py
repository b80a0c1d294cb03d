"""What every source of text can do: say what it is, check that it is there, give its lines in order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from tasks.sources.shared.split import SPLITS, Split


class LineBatch(NamedTuple):
    """Some lines of a source that follow each other.

    A line is one sentence, or with `prose` one paragraph; it is empty where there is nothing to read, so that
    line i is always line `first_line + i` of the source. A paragraph that fills several lines of a file
    stands whole, line breaks included, in the place of the first, with nothing in the places of the others.
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
        """Raises InputError when the splits are not there or cannot be read; reads next to nothing."""

    @abstractmethod
    def describe(self, split: Split) -> dict[str, Any]:
        """All that decides a split's text, for `tasks.sources.shared.fingerprint`."""

    @abstractmethod
    def lines(self, split: Split) -> Iterator[LineBatch]:
        """A split's lines in order, a few thousand at a time; InputError at a fault of the text."""

    def num_bytes(self, split: Split) -> int | None:
        """About how many bytes of text a split has, for the progress bar; None when that is not known."""
        return None
