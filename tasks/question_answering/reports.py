"""The reports of question answering: counts, scores, predictions in SQuAD's format, the model directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from elmo.files import atomic_write, json_text
from tasks.question_answering.baselines import score_baselines
from tasks.question_answering.decoding import FoundAnswers, predictions_of
from tasks.question_answering.examples import QuestionExamples, UnusableAnswer
from tasks.question_answering.model import Answerer, Decoding, Found, find_answers
from tasks.question_answering.scores import (
    QuestionScore,
    best_threshold,
    has_unanswerable,
    question_scores,
    score_answers,
)
from tasks.sources.questions.source import QuestionSource
from tasks.sources.shared.split import Split
from tasks.supervised.encoder_parts import EncoderParts
from tasks.supervised.example_scores import ExampleScores, write_example_scores
from tasks.supervised.reports import SupervisedReports, Table, with_mixes
from tasks.task import Setup


class QuestionAnsweringReports(SupervisedReports):
    """The reports of a question answering model's training (see `tasks.task.Reports`).

    Args:
        setup: the setup of the training.
        source: the source of the questions.
        encoder: the parts of the model's encoder.
        model: the trained model.
        examples: the questions of each split.
        decoding: how scores become answers.
        notices: lines for the user about the stored vectors.
    """

    source: QuestionSource
    model: Answerer
    examples: Mapping[Split, QuestionExamples]

    def __init__(
        self,
        *,
        setup: Setup,
        source: QuestionSource,
        encoder: EncoderParts,
        model: Answerer,
        examples: Mapping[Split, QuestionExamples],
        decoding: Decoding,
        notices: Sequence[str],
    ) -> None:
        self.setup, self.source, self.encoder, self.model = setup, source, encoder, model
        self.examples, self.decoding, self.notices = examples, decoding, notices
        self._test: Found | None = None

    def conclude(self) -> dict[str, float]:
        """The test scores of the model and of the baselines."""
        test, self._test = self.examples["test"], self._find(self.examples["test"])
        figures = score_test(test, self._test, threshold=self._threshold)
        return figures | score_baselines(test) | self.mix_figures()

    def write_reports(self, path: Path) -> None:
        """Write the test split's predictions with the scores of each question, and unusable gold answers."""
        test = self.examples["test"]
        if self._test is None:
            self._test = self._find(test)
        found = test.by_id(self._test.answers)
        write_predictions(path, "test", found, threshold=self._threshold)
        write_example_scores(path, "test", example_scores(test.golds(), found, threshold=self._threshold))
        self.draw_mixes(path)
        write_unusable(path, {split: examples.unusable for split, examples in self.examples.items()})

    def tables(self) -> dict[str, Table]:
        """The weights of the mixes; there are no other tables besides the figures."""
        return self.mix_tables()

    def facts(self) -> dict[str, float | str]:
        """Counts of questions and words, and warnings about the data."""
        facts: dict[str, float | str] = {**self.source.cut_facts()}
        known = self.examples["train"].counts()
        for split, examples in self.examples.items():
            facts |= {f"{split} {name}": value for name, value in examples.facts(known).items()}
        if self.notices:
            facts["features"] = "; ".join(self.notices)
        return facts | self.contamination()

    def table(self, figures: Mapping[str, float]) -> tuple[list[str], list[list[Any]]]:
        """Columns and rows of a table of dev and test scores, with those of the baselines."""
        return with_mixes(score_table(figures), figures)

    def activation_bytes(self, units_per_batch: int) -> int:
        """An estimate for windows of mean length: the head's inputs, outputs, attention, and gradients."""
        representation, lengths = self.model.representation, self.examples["train"].learnable().lengths()
        mean = sum(lengths) / len(lengths)
        sizes = 12 * (representation.input_size + representation.injected_size) + 4 * mean
        return int(4 * units_per_batch * mean * sizes)

    def saved_facts(self) -> dict[str, Any]:
        return {"language": self.source.language}

    @property
    def _threshold(self) -> float:
        return float(self.model.no_answer_threshold)

    def _find(self, examples: QuestionExamples) -> Found:
        return find_answers(
            self.model,
            examples,
            batch_size=self.setup.batch_size,
            decoding=self.decoding,
            split="test",
            tell=self.setup.tell,
            processes=self.setup.processes,
        )


def score_test(test: QuestionExamples, found: Found, *, threshold: float) -> dict[str, float]:
    """The scores of the test split, by metric name.

    If some of its questions have no answer, they include the scores with the test split's own best
    thresholds, as in the evaluation script of SQuAD 2.0.
    """
    golds, predictions = test.golds(), predictions_of(test.by_id(found.answers))
    figures = {"loss": found.loss, **score_answers(golds, predictions, threshold=threshold)}
    if has_unanswerable(golds):
        for metric in ("exact_match", "f1"):
            figures[f"best_{metric}"], _ = best_threshold(golds, predictions, metric=metric)
    return {**{f"test/{name}": value for name, value in figures.items()}, "test/questions": len(test)}


def example_scores(
    golds: Mapping[str, Sequence[str]], found: Mapping[str, FoundAnswers], *, threshold: float
) -> ExampleScores:
    """The exact match and the F1 of each question in percent; see `score_answers`."""
    scores = question_scores(golds, predictions_of(found), threshold=threshold)
    return ExampleScores(
        list(scores),
        {
            metric: [100 * getattr(score, metric) for score in scores.values()]
            for metric in QuestionScore._fields
        },
    )


def score_table(figures: Mapping[str, float]) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of a table of scores, in percent."""
    names = {
        "dev/": "dev",
        "test/": "test",
        "test/has_answer_": "test, questions with an answer",
        "test/no_answer_": "test, questions without",
        "test/sentence_": "test, sentence most similar to the question",
        "test/never_": "test, never answering",
    }
    rows = [
        [name, figures[f"{prefix}exact_match"], figures[f"{prefix}f1"]]
        for prefix, name in names.items()
        if f"{prefix}f1" in figures
    ]
    return ["percent", "exact match", "F1"], rows


def write_predictions(path: Path, split: str, found: Mapping[str, FoundAnswers], *, threshold: float) -> None:
    """Write three files to `predictions/`, each a JSON object by the question's id.

    `<split>.json`: the answer, or "" for no answer, in the format of SQuAD's evaluation scripts.
    `<split>_no_answer.json`: the probability of no answer, in the format of SQuAD 2.0's script.
    `<split>_n_best.json`: the most probable answers with their positions in characters.

    Args:
        path: the run's directory.
        split: of the data.
        found: the answers by the question's id.
        threshold: if the probability of no answer is above it, the prediction is "no answer".
    """
    predictions = predictions_of(found)
    contents: dict[str, Any] = {
        "": {
            id: best.text if best.no_answer_probability <= threshold else ""
            for id, best in predictions.items()
        },
        "_no_answer": {id: best.no_answer_probability for id, best in predictions.items()},
        "_n_best": {id: [answer._asdict() for answer in answers.best] for id, answers in found.items()},
    }
    for name, content in contents.items():
        with atomic_write(path / "predictions" / f"{split}{name}.json") as aside:
            aside.write_text(json_text(content) + "\n", encoding="utf-8")


def write_unusable(path: Path, unusable: Mapping[str, Sequence[UnusableAnswer]]) -> None:
    """Write `unusable_answers.jsonl` into the run's directory if there are such answers."""
    lines = [
        json_text({"split": split, **answer._asdict()}) + "\n"
        for split, answers in unusable.items()
        for answer in answers
    ]
    if lines:
        with atomic_write(path / "unusable_answers.jsonl") as aside:
            aside.write_text("".join(lines), encoding="utf-8")
