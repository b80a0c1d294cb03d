"""The interface of a source of labelled texts: sentiment, topics, types of questions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from tasks.sources.labelled.text_table import TextTable
from tasks.sources.shared.split import SPLITS, Split


class LabelledText(NamedTuple):
    """A text and its labels: one, unless the source is multi-label.

    Attributes:
        name: unique in its split: the text's id in the data, or its position `file:line` or
            `package:document`.
        text: the raw text.
        labels: the labels' names.
    """

    name: str
    text: str
    labels: tuple[str, ...]


class LabelledSource(ABC):
    """Labelled texts in three splits that are the same in every run.

    Attributes:
        prose: whether texts are split into sentences.
        language: ISO 639-1 code, for sentence splitting.
        multi_label: whether a text may have several labels, or none.
        table: where the text of a row is, if the data is a table; predictions read tables in the same way.
    """

    table = TextTable()
    prose: bool
    language: str
    multi_label: bool

    @abstractmethod
    def check_examples(self, splits: Collection[Split] = SPLITS) -> None:
        """Quick check, without reading the data; InputError if a split is missing or cannot be read."""

    @abstractmethod
    def describe_examples(self, split: Split) -> dict[str, Any]:
        """Everything that determines a split's examples, for `tasks.sources.shared.fingerprint`."""

    @abstractmethod
    def examples(self, split: Split) -> Iterator[LabelledText]:
        """A split's examples in order; InputError at a fault of the data."""


def rarest_labels(examples: Sequence[LabelledText]) -> list[str]:
    """For each text its rarest label; "" if it has no label."""
    counts = Counter(label for example in examples for label in example.labels)
    return [min(example.labels, key=lambda label: (counts[label], label), default="") for example in examples]
