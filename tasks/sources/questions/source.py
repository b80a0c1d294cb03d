"""The interface of a source of questions about passages (SQuAD and data in its format)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from tasks.sources.shared.split import SPLITS, Split


class Answer(NamedTuple):
    """An answer and its start in the passage, in characters, from the data; both may be wrong."""

    text: str
    start: int


class Question(NamedTuple):
    """A question about a passage; `answers` is empty if it cannot be answered (SQuAD 2.0)."""

    id: str
    text: str
    answers: tuple[Answer, ...]


class Passage(NamedTuple):
    """A passage and its questions; `name` is its position in the data."""

    name: str
    context: str
    questions: tuple[Question, ...]


class QuestionSource(ABC):
    """Passages with questions in three splits that are the same in every run; `language` is ISO 639-1."""

    language: str

    @abstractmethod
    def check_examples(self, splits: Collection[Split] = SPLITS) -> None:
        """Quick check, without reading the data; InputError if a split is missing or cannot be read."""

    @abstractmethod
    def describe_examples(self, split: Split) -> dict[str, Any]:
        """Everything that determines a split's examples, for `tasks.sources.shared.fingerprint`."""

    @abstractmethod
    def passages(self, split: Split) -> Iterator[Passage]:
        """A split's passages in order; InputError at a fault of the data."""
