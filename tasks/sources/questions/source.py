"""What every source of questions about passages can do (SQuAD and data of its form)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from tasks.sources.shared.split import SPLITS, Split


class Answer(NamedTuple):
    """A text of the passage and where it starts, in characters, as the data has it: it may not be there."""

    text: str
    start: int


class Question(NamedTuple):
    """A question about a passage; without answers it cannot be answered (SQuAD 2.0)."""

    id: str
    text: str
    answers: tuple[Answer, ...]


class Passage(NamedTuple):
    """A passage and its questions; `name` says where it stands."""

    name: str
    context: str
    questions: tuple[Question, ...]


class QuestionSource(ABC):
    """Passages with questions in three splits that are the same in every run; `language` is ISO 639-1."""

    language: str

    @abstractmethod
    def check_examples(self, splits: Collection[Split] = SPLITS) -> None:
        """Raises InputError when the splits are not there or cannot be read; reads next to nothing."""

    @abstractmethod
    def describe_examples(self, split: Split) -> dict[str, Any]:
        """All that decides a split's examples, plain values for JSON; equal ones mean equal examples."""

    @abstractmethod
    def passages(self, split: Split) -> Iterator[Passage]:
        """A split's passages in order; InputError at a fault of the data."""
