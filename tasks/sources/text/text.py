"""The user's text files: one sentence per line or raw prose, perhaps compressed, in any encoding."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from elmo.registry import REGISTRY
from tasks.sources.shared.fraction import Fraction
from tasks.sources.shared.local_files import check_encoding, count_bytes, group_files, read_lines
from tasks.sources.shared.remote_files import File
from tasks.sources.shared.split import SPLITS, Split, origin_of
from tasks.sources.shared.split_files import SplitFiles
from tasks.sources.text.source import LineBatch, Source
from tasks.sources.text.split_lines import SplitLines

# A full stop after a short word may belong to an abbreviation (Mr.) and is not taken as the end of a
# sentence.
_SENTENCE_END = re.compile(
    r"(?:[!?\u2026\u3002\uff01\uff1f\u0964\u061f]|\w{4}\.)[\"'\u201d\u2019\u00bb)\]]*\s*$"
)
PIECE_BYTES = 1 << 26  # of small files that are prepared as one piece
_MOST_LINES = 4000  # of a paragraph: bounds the memory for a file without blank lines


@REGISTRY.register("data", "text")
class TextSource(Source):
    """Text from files given by path, glob or address.

    Args:
        train: paths or globs, also addresses of fsspec such as s3://bucket/part-*.txt.zst, read in this
            order, the files of a glob by name; may only be missing if just `test` is evaluated.
        dev: the same for selecting the best model; None: a part of `train`.
        test: the same for the final scores; None: a part of `train`.
        encoding: Python's name of the encoding of all files; a byte-order mark is removed.
        prose: False: one sentence per line. True: paragraphs, which are split into sentences. A paragraph may
            have several lines; it ends with a blank line, or with a line that ends like a sentence.
        language: ISO 639-1 code, for sentence splitting.
        split_every: the period for missing splits: of this many sentences (or paragraphs), the last is for
            test, the middle one for dev.
        fraction: of the training sentences (or paragraphs).
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
        fraction: Fraction = 1.0,
    ) -> None:
        check_encoding(encoding, key="data.encoding")
        self.fraction = fraction
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
        return self._rule.take(split, self._files.given, self._read(self._find(split)))

    def pieces(self, split: Split, *, seed: int) -> list[Iterator[LineBatch]]:
        if self.is_cut(split) or not self._rule.takes_all(split, self._files.given):
            return super().pieces(split, seed=seed)  # which line is whose depends on all lines before it
        return [self._read(paths) for paths in group_files(self._find(split), size=PIECE_BYTES)]

    def _find(self, split: Split) -> list[File]:
        return self._files.find(origin_of(split, self._files.given))

    def _read(self, paths: Iterable[File]) -> Iterator[LineBatch]:
        for path in paths:
            batches: Iterable[tuple[int, list[str]]] = read_lines(path, encoding=self.encoding)
            if self.prose:
                batches = _whole_paragraphs(batches)
            for first_line, lines in batches:
                yield LineBatch(str(path), first_line, lines, self.prose)


def _whole_paragraphs(batches: Iterable[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    """Batches that end between paragraphs; each paragraph is joined in its first line."""
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
