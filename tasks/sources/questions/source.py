"""The interface of a source of questions about passages (SQuAD and data in its format)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

from tasks.sources.shared.fraction import take_fraction
from tasks.sources.shared.split import SPLITS, Split
from tasks.sources.text.source import CONTROLS_TO_SPACES, LineBatch, Source


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


class QuestionSource(Source):
    """Passages with questions in three splits that are the same in every run; `language` is ISO 639-1.

    As running text, they are the passages without the questions.
    """

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

    def read_passages(self, split: Split, *, seed: int) -> Iterable[Passage]:
        """The passages that a run of this seed reads: of a cut training split a part, with all its questions.

        The questions of a passage stay together, as they were asked together.

        Raises:
            InputError: a fault of the data, or nothing is left of it.
        """
        if not self.is_cut(split):
            return self.passages(split)
        passages = list(self.passages(split))
        return take_fraction(
            passages,
            fraction=self.fraction,
            seed=seed,
            contents=[passage.context for passage in passages],
            strata=[""] * len(passages),
        )

    def check(self, splits: Collection[Split] = SPLITS) -> None:
        self.check_examples(splits)

    def describe(self, split: Split) -> dict[str, Any]:
        return {"passages_of": self.describe_examples(split), "language": self.language}

    def lines(self, split: Split) -> Iterator[LineBatch]:
        for passage in self.passages(split):
            yield LineBatch(passage.name, 1, [passage.context.translate(CONTROLS_TO_SPACES)], prose=True)
