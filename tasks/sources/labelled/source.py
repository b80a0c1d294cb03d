"""What every source of labelled texts can do: sentiment, topics, types of questions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from tasks.sources.shared.split import SPLITS, Split


class LabelledText(NamedTuple):
    """A text and its labels: one, unless the source is multi-label.

    Attributes:
        name: tells it from the others of its split, and where it stands: `file:line`, or `package:document`;
            the data's own id where it has one.
    """

    name: str
    text: str
    labels: tuple[str, ...]


class LabelledSource(ABC):
    """Labelled texts in three splits that are the same in every run.

    Attributes:
        prose: whether texts are split into sentences.
        language: ISO 639-1, of the prose.
        multi_label: whether a text may have several labels, or none.
    """

    prose: bool
    language: str
    multi_label: bool

    @abstractmethod
    def check_examples(self, splits: Collection[Split] = SPLITS) -> None:
        """Raises InputError when the splits are not there or cannot be read; reads next to nothing."""

    @abstractmethod
    def describe_examples(self, split: Split) -> dict[str, Any]:
        """All that decides a split's examples, plain values for JSON; equal ones mean equal examples."""

    @abstractmethod
    def examples(self, split: Split) -> Iterator[LabelledText]:
        """A split's examples in order; InputError at a fault of the data."""


def rarest_labels(examples: Sequence[LabelledText]) -> list[str]:
    """Of each text the label that the fewest texts have; "" without labels."""
    counts = Counter(label for example in examples for label in example.labels)
    return [min(example.labels, key=lambda label: (counts[label], label), default="") for example in examples]
