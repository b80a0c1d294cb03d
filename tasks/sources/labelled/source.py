"""What every source of labelled texts can do: sentiment, topics, types of questions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from typing import Any, Literal, NamedTuple, TypeAlias

Part: TypeAlias = Literal["train", "dev", "test"]
PARTS: tuple[Part, ...] = ("train", "dev", "test")


class LabelledText(NamedTuple):
    """A text and its labels: one, unless the source is multi-label.

    Attributes:
        name: tells it from the others of its part, and where it stands: `file:line`, or `package:document`;
            the data's own id where it has one.
    """

    name: str
    text: str
    labels: tuple[str, ...]


class LabelledSource(ABC):
    """Labelled texts in three parts that are the same in every run.

    Attributes:
        prose: whether texts are split into sentences.
        language: ISO 639-1, of the prose.
        multi_label: whether a text may have several labels, or none.
    """

    prose: bool
    language: str
    multi_label: bool

    @abstractmethod
    def check_examples(self, parts: Collection[Part] = PARTS) -> None:
        """Raises InputError when the parts are not there or cannot be read; reads next to nothing."""

    @abstractmethod
    def describe_examples(self, part: Part) -> dict[str, Any]:
        """All that decides a part's examples, plain values for JSON; equal ones mean equal examples."""

    @abstractmethod
    def examples(self, part: Part) -> Iterator[LabelledText]:
        """A part's examples in order; InputError at a fault of the data."""
