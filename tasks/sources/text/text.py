"""Text files of the user: one sentence a line or raw prose, plain or gzip, in any encoding."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from elmo.registry import REGISTRY
from tasks.sources.shared.local_files import check_encoding, count_bytes, read_lines
from tasks.sources.shared.split import SPLITS, Split, origin_of
from tasks.sources.shared.split_files import SplitFiles
from tasks.sources.text.source import LineBatch, Source
from tasks.sources.text.split_lines import SplitLines

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
            evaluation of `test` files does without.
        dev: the same, for choosing the best model; None: taken off `train`.
        test: the same, for the result; None: taken off `train`.
        encoding: of all files, as Python names it; a byte-order mark is dropped.
        prose: False: one sentence a line. True: paragraphs, which are split into sentences. A paragraph may
            fill several lines; it ends with a blank line, or with a line that ends like a sentence.
        language: ISO 639-1, for splitting prose.
        split_every: the period with which sentences (or paragraphs) are taken off `train`: the last one of
            so many for test, the middle one for dev.
    """

    def __init__(
        self,
        *,
        train: str | list[str] | None = None,
        dev: str | list[str] | None = None,
        test: str | list[str] | None = None,
        encoding: str = "utf-8",
        prose: bool = False,
        language: str = "en",
        split_every: int = 20,
    ) -> None:
        check_encoding(encoding, key="data.encoding")
        self.encoding = encoding
        self.prose = prose
        self.language = language
        self._files = SplitFiles(train=train, dev=dev, test=test)
        self._rule = SplitLines(split_every=split_every)

    def check(self, splits: Collection[Split] = SPLITS) -> None:
        self._files.find_all({origin_of(split, self._files.given) for split in splits})

    def describe(self, split: Split) -> dict[str, Any]:
        text: dict[str, Any] = {"files": self._find(split), "encoding": self.encoding}
        text |= {"prose": self.prose, "language": self.language}
        return text | self._rule.describe(split, self._files.given)

    def num_bytes(self, split: Split) -> int | None:
        total = count_bytes(self._find(split))
        return None if total is None else int(total * self._rule.share(split, self._files.given))

    def lines(self, split: Split) -> Iterator[LineBatch]:
        return self._rule.take(split, self._files.given, self._read(split))

    def _find(self, split: Split) -> list[Path]:
        return self._files.find(origin_of(split, self._files.given))

    def _read(self, split: Split) -> Iterator[LineBatch]:
        for path in self._find(split):
            batches: Iterable[tuple[int, list[str]]] = read_lines(path, encoding=self.encoding)
            if self.prose:
                batches = _whole_paragraphs(batches)
            for first_line, lines in batches:
                yield LineBatch(str(path), first_line, lines, self.prose)


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
