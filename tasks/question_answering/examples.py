"""The questions of one split of the data, paired with the windows of their passages, and batches of pairs.

Shape legend: B pairs of a window and a question.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from elmo.errors import shown
from elmo.text.tokenizers.tokenizer import Tokenizer
from tasks.question_answering.decoding import NO_ANSWER
from tasks.sources.questions.source import Answer, Passage, Question
from tasks.supervised.batches import ExampleBatch
from tasks.supervised.feature_store import FeatureStore
from tasks.supervised.located_text import LocatedText, locate_words, window_ranges
from tasks.supervised.representation import Window, WindowBatch

Answered = TypeVar("Answered")
Span = tuple[int, int]  # the first and the last word


class AskedQuestion(NamedTuple):
    """A tokenized question.

    Attributes:
        id: its id in the data.
        passage: the index of its passage.
        window: its sentences.
        golds: the gold answers; empty if the question has no answer.
        span: the span of words of the first usable gold answer; None if there is none.
    """

    id: str
    passage: int
    window: Window
    golds: tuple[str, ...]
    span: Span | None


class Pair(NamedTuple):
    """A question and a window of its passage.

    Attributes:
        question: the index of the question.
        start, stop: the window's first word, and its end (exclusive).
        target: the answer's span, relative to the window, or twice `NO_ANSWER`; None if the pair cannot be
            used for training: only a part of the answer is in the window, or its position is unknown.
    """

    question: int
    start: int
    stop: int
    target: Span | None


class UnusableAnswer(NamedTuple):
    """A gold answer that cannot be used for training; it is still used for scoring.

    Attributes:
        passage: the position of its passage in the data.
        question: the question's id.
        text, start: the answer as the data has it.
        kind: what is wrong with it, in words that also count others of its kind.
        reason: what is wrong with this one.
    """

    passage: str
    question: str
    text: str
    start: int
    kind: str
    reason: str

    def __str__(self) -> str:
        return f"{self.passage}, question {self.question!r}: {self.reason}"


@dataclass(frozen=True)
class QuestionBatch(ExampleBatch):
    """A batch of pairs.

    Attributes:
        passages: the B windows of passages.
        questions: the B questions.
        first_B, last_B: the answers' spans, relative to the windows; `NO_ANSWER` if there is none.
        is_known_B: whether the target of the pair is known.
        ids: the questions' ids.
    """

    passages: WindowBatch
    questions: WindowBatch
    first_B: Tensor
    last_B: Tensor
    is_known_B: Tensor
    ids: list[str]

    @property
    def num_units(self) -> int:
        return len(self.ids) + self.num_others

    def to(self, device: torch.device) -> QuestionBatch:
        """The same batch on a device."""
        return replace(
            self,
            passages=self.passages.to(device),
            questions=self.questions.to(device),
            first_B=self.first_B.to(device),
            last_B=self.last_B.to(device),
            is_known_B=self.is_known_B.to(device),
        )


class QuestionReader:
    """Tokenizes passages and questions.

    Args:
        tokenizer: splits sentences into words.
        language: ISO 639-1 code, for sentence splitting.
        window_words: largest number of words in a window of a passage.
        window_stride: number of words between the starts of consecutive windows.
    """

    def __init__(self, *, tokenizer: Tokenizer, language: str, window_words: int, window_stride: int) -> None:
        self.tokenizer, self.language = tokenizer, language
        self.window_words, self.window_stride = window_words, window_stride

    def read(self, passages: Iterable[Passage]) -> QuestionExamples:
        """The examples of passages and their questions."""
        examples = QuestionExamples([], [], [], [], [])
        known: dict[str, str] = {}  # interned: all occurrences of a word share one object
        for passage in passages:
            text = self._locate(passage.context)
            text = text._replace(words=[known.setdefault(word, word) for word in text.words])
            examples.contexts.append(passage.context)
            examples.passages.append(text)
            for question in passage.questions:
                self._add(examples, passage, text, question)
        return examples

    def _add(
        self, examples: QuestionExamples, passage: Passage, text: LocatedText, question: Question
    ) -> None:
        """Add a question about the last passage."""
        words = self._locate(question.text)
        window = words.sentences(0, len(words.words)) if words.words else []
        ranges = window_ranges(
            len(text.words), window_words=self.window_words, window_stride=self.window_stride
        )
        span, unusable = find_span(passage, text, question, ranges)
        golds = tuple(answer.text for answer in question.answers)
        number = len(examples.questions)
        examples.questions.append(AskedQuestion(question.id, len(examples.passages) - 1, window, golds, span))
        examples.unusable.extend(unusable)
        if window:
            is_lost = span is None and bool(golds)
            examples.pairs.extend(
                Pair(number, start, stop, None if is_lost else target_of(span, start, stop))
                for start, stop in ranges
            )

    def _locate(self, text: str) -> LocatedText:
        return locate_words(text, self.tokenizer, language=self.language)


@dataclass(frozen=True)
class QuestionExamples:
    """Questions in order, and stored vectors of frozen encoders, if there are any.

    Attributes:
        contexts: the raw passages.
        passages: their words, stored once for all questions.
        questions: in the order of their passages.
        pairs: of questions and windows; a question without words, or about a passage without words, has none.
        unusable: gold answers that cannot be used for training.
        stores: the stored vectors of all `texts`, by the name of the encoder's part.
    """

    contexts: list[str]
    passages: list[LocatedText]
    questions: list[AskedQuestion]
    pairs: list[Pair]
    unusable: list[UnusableAnswer]
    stores: Mapping[str, FeatureStore] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.questions)

    def learnable(self) -> QuestionExamples:
        """The same examples, with only those pairs whose target is known."""
        return replace(self, pairs=[pair for pair in self.pairs if pair.target is not None])

    def golds(self) -> dict[str, tuple[str, ...]]:
        """The gold answers, by the question's id."""
        return {question.id: question.golds for question in self.questions}

    def by_id(self, answers: Sequence[Answered]) -> dict[str, Answered]:
        """A value for each question, in order -> the values by the question's id."""
        return {question.id: answer for question, answer in zip(self.questions, answers, strict=True)}

    def lengths(self) -> list[int]:
        """Number of words in each pair's window."""
        return [pair.stop - pair.start for pair in self.pairs]

    def batch(self, numbers: Sequence[int]) -> QuestionBatch:
        """The batch of the pairs with these indices."""
        pairs = [self.pairs[number] for number in numbers]
        questions = [self.questions[pair.question] for pair in pairs]
        targets = torch.tensor([pair.target or (NO_ANSWER, NO_ANSWER) for pair in pairs])
        return QuestionBatch(
            passages=self._passage_windows(pairs),
            questions=self._question_windows([pair.question for pair in pairs]),
            first_B=targets[:, 0],
            last_B=targets[:, 1],
            is_known_B=torch.tensor([pair.target is not None for pair in pairs]),
            ids=[question.id for question in questions],
        )

    def texts(self) -> list[Window]:
        """The sentences of each passage, then of each question."""
        passages = [text.sentences(0, len(text.words)) for text in self.passages]
        return passages + [question.window for question in self.questions]

    def sentences(self) -> list[Sequence[str]]:
        """The sentences of all `texts`, concatenated."""
        return [sentence for text in self.texts() for sentence in text]

    def counts(self) -> Counter[str]:
        """The number of occurrences of each word in `texts`."""
        return Counter(word for sentence in self.sentences() for word in sentence)

    def facts(self, known: Collection[str]) -> dict[str, float | str]:
        """Counts, and peculiarities of the data; `known` are the words of the training text."""
        counts = self.counts()
        unknown = sum(count for word, count in counts.items() if word not in known)
        asked = {pair.question for pair in self.pairs}
        facts: dict[str, float | str] = {
            "passages": len(self.passages),
            "questions": len(self),
            "words": counts.total(),
            "types": len(counts),
            "windows of long passages": len(self.pairs) - len(asked),
            "questions without an answer": sum(not question.golds for question in self.questions),
            "questions without words, or whose passage has none": len(self) - len(asked),
            "questions whose answer is not whole words": self._num_inexact(),
            "unusable answers": len(self.unusable),
            "unusable answers are": self._named_unusable(),
            "questions left out": _shortened([q.id for i, q in enumerate(self.questions) if i not in asked]),
        }
        facts = {name: value for name, value in facts.items() if value}
        return facts | ({"words not in training": 100 * unknown / counts.total()} if unknown else {})

    def _named_unusable(self) -> str:
        """How many unusable answers there are of each kind, and where the first one is; "" without any."""
        counts = Counter(answer.kind for answer in self.unusable).most_common()
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in counts)
        return f"{kinds}; the first: {self.unusable[0]}" if kinds else ""

    def _num_inexact(self) -> int:
        """Number of questions whose answer begins or ends within a word."""
        located = [(q.passage, *q.span, q.golds) for q in self.questions if q.span is not None]
        return sum(
            self._text_of(passage, first, last) not in golds for passage, first, last, golds in located
        )

    def _text_of(self, passage: int, first: int, last: int) -> str:
        text = self.passages[passage]
        return self.contexts[passage][text.starts[first] : text.ends[last]]

    def _passage_windows(self, pairs: Sequence[Pair]) -> WindowBatch:
        numbers = [self.questions[pair.question].passage for pair in pairs]
        places = [(n, pair.start, pair.stop) for n, pair in zip(numbers, pairs, strict=True)]
        windows = [self.passages[n].sentences(start, stop) for n, start, stop in places]
        return WindowBatch(windows, self._features(places))

    def _question_windows(self, numbers: Sequence[int]) -> WindowBatch:
        windows = [self.questions[number].window for number in numbers]
        places = [
            (len(self.passages) + number, 0, sum(map(len, window)))
            for number, window in zip(numbers, windows, strict=True)
        ]
        return WindowBatch(windows, self._features(places))

    def _features(self, places: Sequence[tuple[int, int, int]]) -> dict[str, Tensor]:
        """The stored vectors of ranges of words: (text's index, first word, end) each."""
        return {
            name: store.gather([(store.ranges[n][0] + a, store.ranges[n][0] + b) for n, a, b in places])
            for name, store in self.stores.items()
        }


def find_span(
    passage: Passage, text: LocatedText, question: Question, ranges: Sequence[tuple[int, int]]
) -> tuple[Span | None, list[UnusableAnswer]]:
    """The span of the first usable gold answer, and the gold answers that are not usable.

    Args:
        passage: the passage with its raw text.
        text: its words.
        question: the question with its gold answers.
        ranges: first word and end of each window of the passage.
    """
    spans, unusable = [], []
    for answer in question.answers:
        span, fault = _find_answer(passage.context, text, answer, ranges)
        if span is None:
            unusable.append(UnusableAnswer(passage.name, question.id, answer.text, answer.start, *fault))
        else:
            spans.append(span)
    return (spans[0] if spans else None), unusable


def target_of(span: Span | None, start: int, stop: int) -> Span | None:
    """A window's target: the answer's span relative to the window, or twice `NO_ANSWER` if it is elsewhere.

    None if the window has only a part of the answer.
    """
    if span is None or span[1] < start or stop <= span[0]:
        return NO_ANSWER, NO_ANSWER
    return (span[0] - start, span[1] - start) if start <= span[0] and span[1] < stop else None


def _find_answer(
    context: str, text: LocatedText, answer: Answer, ranges: Sequence[tuple[int, int]]
) -> tuple[Span | None, tuple[str, str]]:
    """The span of an answer, or None; and the kind of fault and the reason for it, "" where there is none."""
    if not answer.text.strip():
        return None, ("empty", "an empty answer")
    end = answer.start + len(answer.text)
    if not (answer.start >= 0 and context[answer.start : end] == answer.text):
        there = shown(context[max(answer.start, 0) : max(end, 0)])
        return None, ("not where they should be", f"the passage has {there} there")
    span = text.span(answer.start, end)
    if span is None:
        return None, ("without words", "the tokenizer finds no word there")
    if not any(start <= span[0] and span[1] < stop for start, stop in ranges):
        advice = "raise task.window_words or lower task.window_stride"
        return None, ("in no window as a whole", f"no window contains all of it; {advice}")
    return span, ("", "")


def _shortened(names: Sequence[str]) -> str:
    """The first three of some names."""
    return ", ".join(names[:3]) + ", ..." * (len(names) > 3)
