"""The interface of a source of running text: description, check, and lines in order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

from elmo.errors import InputError
from tasks.sources.shared.fraction import Cuttable, draw
from tasks.sources.shared.split import SPLITS, Split

# What running text may not have, and texts of tables sometimes do: most control characters.
CONTROLS_TO_SPACES = {code: " " for code in (*range(0x09), *range(0x0B, 0x20), 0x7F)}


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


class Source(Cuttable, ABC):
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

    def read_lines(self, split: Split, *, seed: int) -> Iterator[LineBatch]:
        """The lines that a run of this seed reads; of a cut training split the others become empty.

        Each sentence, or paragraph, is kept with the probability `fraction`, as the text is too long to be
        counted first.

        Raises:
            InputError: a fault of the text, or nothing is left of it.
        """
        return self._cut(self.lines(split), seed) if self.is_cut(split) else self.lines(split)

    def pieces(self, split: Split, *, seed: int) -> list[Iterator[LineBatch]]:
        """The lines that a run of this seed reads, in pieces that can be read each by itself, such as files.

        Nothing is read before a piece is. The pieces depend on the text alone.
        """
        return [self.read_lines(split, seed=seed)]

    def _cut(self, batches: Iterable[LineBatch], seed: int) -> Iterator[LineBatch]:
        limit, number, num_kept = int(self.fraction * 2**64), 0, 0
        for batch in batches:
            lines = list(batch.lines)
            for index, line in enumerate(lines):
                if line and not line.isspace():
                    number += 1
                    if draw(seed, number) >= limit:
                        lines[index] = ""
                    else:
                        num_kept += 1
            yield batch._replace(lines=lines)
        if not num_kept:
            raise InputError(
                f"data.fraction: {self.fraction:g} leaves nothing of {number:,} lines or paragraphs of the"
                " training text; give more"
            )

    def num_bytes(self, split: Split) -> int | None:
        """The approximate number of bytes of a split's text, for the progress bar; None if unknown."""
        return None
