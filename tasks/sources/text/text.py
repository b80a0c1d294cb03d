"""Text files of the user: one sentence a line or raw prose, plain or gzip, in any encoding."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from elmo.errors import InputError
from elmo.registry import REGISTRY
from tasks.sources.shared.local_files import (
    check_encoding,
    count_bytes,
    describe_files,
    find_files,
    read_lines,
)
from tasks.sources.text.source import SPLITS, LineBatch, Source, Split

# A full stop after a short word may be that of an abbreviation (Mr.), which does not end a line's sentence.
_SENTENCE_END = re.compile(
    r"(?:[!?\u2026\u3002\uff01\uff1f\u0964\u061f]|\w{4}\.)[\"'\u201d\u2019\u00bb)\]]*\s*$"
)
_MOST_LINES = 4000  # of one paragraph, so that a file without blank lines is no paragraph of a gigabyte


@REGISTRY.register("data", "text")
class TextSource(Source):
    """Files given by path or glob.

    Args:
        train: paths or globs; their files are read in the order given, those of a glob by name. Only an
            evaluation of `heldout` files does without.
        heldout: the same, for evaluation; None: every n-th sentence (or paragraph) of `train` is held out.
        encoding: of all files, as Python names it; a byte-order mark is dropped.
        prose: False: one sentence a line. True: paragraphs, which are split into sentences. A paragraph may
            fill several lines; it ends with a blank line, or with a line that ends like a sentence.
        language: ISO 639-1, for splitting prose.
        heldout_every: the period n, counted over all files; unused when `heldout` is given.
    """

    def __init__(
        self,
        *,
        train: str | list[str] | None = None,
        heldout: str | list[str] | None = None,
        encoding: str = "utf-8",
        prose: bool = False,
        language: str = "en",
        heldout_every: int = 20,
    ) -> None:
        check_encoding(encoding, key="data.encoding")
        if heldout_every < 2:
            raise InputError(f"data.heldout_every: {heldout_every} must be 2 or more")
        self.train = train
        self.heldout = heldout
        self.encoding = encoding
        self.prose = prose
        self.language = language
        self.heldout_every = heldout_every

    def check(self, splits: Collection[Split] = SPLITS) -> None:
        files = {split: self._find(split) for split in splits}
        if self.heldout is None or len(files) < 2:
            return
        train = {path.resolve() for path in files["train"]}
        for path in files["heldout"]:
            if path.resolve() in train:
                raise InputError(f"data.heldout: {path} is also in data.train")

    def fingerprint(self, split: Split) -> dict[str, Any]:
        return {
            "files": describe_files(self._find(split)),
            "encoding": self.encoding,
            "prose": self.prose,
            "language": self.language,
            "heldout_every": self.heldout_every if self.heldout is None else None,
        }

    def num_bytes(self, split: Split) -> int | None:
        total = count_bytes(self._find(split))
        if total is None or self.heldout is not None:
            return total
        heldout = total // self.heldout_every
        return heldout if split == "heldout" else total - heldout

    def lines(self, split: Split) -> Iterator[LineBatch]:
        patterns, key = self._patterns(split)
        num_units = 0
        for path in find_files(patterns, key=key):
            batches: Iterable[tuple[int, list[str]]] = read_lines(path, encoding=self.encoding)
            if self.prose:
                batches = _whole_paragraphs(batches)
            for first_line, lines in batches:
                units = [index for index, line in enumerate(lines) if line and not line.isspace()]
                if self.heldout is None:
                    lines = self._keep(lines, units, num_units, split)
                num_units += len(units)
                yield LineBatch(str(path), first_line, lines, self.prose)
        self._check_enough(num_units, split, key)

    def _find(self, split: Split) -> list[Path]:
        patterns, key = self._patterns(split)
        return find_files(patterns, key=key)

    def _patterns(self, split: Split) -> tuple[str | list[str], str]:
        if split == "heldout" and self.heldout is not None:
            return self.heldout, "data.heldout"
        if self.train is None:
            raise InputError("data.train: missing; give a path or a glob of the training text")
        return self.train, "data.train"

    def _keep(self, lines: list[str], units: list[int], num_before: int, split: Split) -> list[str]:
        """The lines of one split, nothing in the places of others; `units` are those that are not blank."""
        kept = [""] * len(lines)
        for number, index in enumerate(units, start=num_before + 1):
            if (number % self.heldout_every == 0) == (split == "heldout"):
                kept[index] = lines[index]
        return kept

    def _check_enough(self, num_units: int, split: Split, key: str) -> None:
        patterns, _ = self._patterns(split)
        if not num_units:
            raise InputError(f"{key}: only blank lines in {patterns}")
        if split == "heldout" and self.heldout is None and num_units < self.heldout_every:
            what = "paragraphs" if self.prose else "lines"
            raise InputError(
                f"data.heldout_every: {self.heldout_every} leaves nothing held out of {num_units} {what}; "
                "make it smaller or give data.heldout"
            )


def _whole_paragraphs(batches: Iterable[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    """Batches cut between paragraphs, each paragraph joined in the place of its first line."""
    first_line, pending = 1, list[str]()
    for _, lines in batches:
        pending += lines
        ends = [index for index, line in enumerate(pending) if _ends_paragraph(line)]
        cut = ends[-1] + 1 if ends else 0
        if len(pending) - cut >= _MOST_LINES:
            cut = len(pending)
        yield first_line, _join_paragraphs(pending[:cut])
        first_line, pending = first_line + cut, pending[cut:]
    if pending:
        yield first_line, _join_paragraphs(pending)


def _join_paragraphs(lines: list[str]) -> list[str]:
    joined = [""] * len(lines)
    start = 0
    for index, line in enumerate(lines):
        if index == len(lines) - 1 or _ends_paragraph(line):
            joined[start] = "\n".join(lines[start : index + 1])
            start = index + 1
    return joined


def _ends_paragraph(line: str) -> bool:
    return not line or line.isspace() or _SENTENCE_END.search(line) is not None
