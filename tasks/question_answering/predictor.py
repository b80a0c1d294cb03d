"""Predictions of a trained question answering model: the best spans of passages of any length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from elmo.errors import InputError
from tasks.question_answering.decoding import FoundAnswers
from tasks.question_answering.examples import QuestionReader
from tasks.question_answering.model import Answerer, Decoding, find_answers
from tasks.sources.questions.source import Passage, Question


class GivenQuestion(NamedTuple):
    """An input record: its id (or None), and its passage with one question."""

    record_id: Any
    passage: Passage


class QuestionPredictor:
    """Answers new questions.

    Args:
        model: in evaluation mode, on its device.
        reader: tokenizes passages and questions.
        decoding: how scores become answers.
    """

    def __init__(self, *, model: Answerer, reader: QuestionReader, decoding: Decoding) -> None:
        self.model, self.reader, self.decoding = model, reader, decoding

    def read(self, record: Mapping[str, Any]) -> GivenQuestion:
        """Read a record's passage (`context`) and question; InputError if one is missing."""
        for key in ("context", "question"):
            if not isinstance(record.get(key), str):
                raise InputError(
                    f"{key}: expected a text, got {record[key]!r}" if key in record else f"{key}: missing"
                )
        question = Question("", record["question"], ())
        return GivenQuestion(record.get("id"), Passage("", record["context"], (question,)))

    def predict(self, inputs: Sequence[GivenQuestion]) -> list[dict[str, Any]]:
        """For each question the `answer`, its position in the passage (`start`, `end`, in characters), its
        probability (`score`), the `n_best` answers, and the `no_answer_probability`.

        If the latter is above the model's threshold, the answer is empty and has no position.
        """
        if not inputs:
            return []
        examples = self.reader.read(given.passage for given in inputs)
        found = find_answers(self.model, examples, batch_size=len(inputs), decoding=self.decoding)
        return [
            ({} if given.record_id is None else {"id": given.record_id}) | self._say(answers)
            for given, answers in zip(inputs, found.answers, strict=True)
        ]

    def _say(self, found: FoundAnswers) -> dict[str, Any]:
        best = [
            {"answer": text, "start": start, "end": end, "score": probability}
            for text, start, end, probability in found.best
        ]
        probability = found.no_answer_probability
        nothing = {"answer": "", "start": None, "end": None, "score": probability}
        is_answered = bool(best) and probability <= float(self.model.no_answer_threshold)
        return {**(best[0] if is_answered else nothing), "n_best": best, "no_answer_probability": probability}
