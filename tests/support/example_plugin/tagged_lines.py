"""The data source of the task `word_tags`: a sentence a line, `The/DET cat/NOUN sleeps/VERB`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from elmo.errors import InputError
from elmo.registry import REGISTRY
from tasks.sources.shared.fraction import Cuttable
from tasks.sources.shared.split import SPLITS, Split


class TaggedSentence(NamedTuple):
    """The words of a sentence, and a tag for each of them; `name` is its place, `file:line`."""

    name: str
    words: list[str]
    tags: list[str]


@REGISTRY.register("data", "tagged_lines")
class TaggedLines(Cuttable):
    """Tagged sentences in a file for each split."""

    def __init__(self, *, train: Path, dev: Path, test: Path) -> None:
        self.files: dict[Split, Path] = {"train": train, "dev": dev, "test": test}

    def check_examples(self, splits: Collection[Split] = SPLITS) -> None:
        """InputError if a file is missing."""
        for split in splits:
            if not self.files[split].is_file():
                raise InputError(f"data.{split}: no file {self.files[split]}")

    def describe_examples(self, split: Split) -> dict[str, Any]:
        """What determines a split's sentences; the path stands for the content of its file."""
        return {"type": "tagged_lines", "file": self.files[split]}

    def examples(self, split: Split) -> Iterator[TaggedSentence]:
        """The sentences of a split in order; InputError at a word without a tag."""
        lines = self.files[split].read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, start=1):
            pairs = [word.rpartition("/") for word in line.split()]
            name = f"{self.files[split]}:{number}"
            if not all(word and tag for word, _, tag in pairs):
                raise InputError(f"{name}: expected word/TAG, got {line!r}")
            if pairs:
                yield TaggedSentence(name, [word for word, _, _ in pairs], [tag for _, _, tag in pairs])
