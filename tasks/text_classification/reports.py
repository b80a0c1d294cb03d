"""The reports of a classifier: counts, scores, predictions, a confusion matrix, the model directory.

Shape legend: N texts, V labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from elmo.files import atomic_write, json_text
from tasks.sources.labelled.source import LabelledSource
from tasks.sources.shared.split import SPLITS, Split
from tasks.supervised.confusion import draw_confusion
from tasks.supervised.encoder_parts import EncoderParts
from tasks.supervised.example_scores import ExampleScores, write_example_scores
from tasks.supervised.reports import SupervisedReports, Table, with_mixes
from tasks.task import Setup
from tasks.text_classification.baselines import baseline_figures, majority_accuracy
from tasks.text_classification.examples import TextExamples
from tasks.text_classification.model import Classifier, logits_of
from tasks.text_classification.scores import (
    Decision,
    confusion_matrix,
    label_scores,
    scores,
    text_accuracies,
)


class Results(NamedTuple):
    """A model's logits for the texts of one split, and their gold labels.

    Attributes:
        names: the N names of the texts.
        texts: the N texts, as they are in the data.
        labels: the V names of the labels.
        logits: (N, V).
        gold: (N, V) bool, the gold labels.
        decision: how logits become labels.
    """

    names: Sequence[str]
    texts: Sequence[str]
    labels: Sequence[str]
    logits: Tensor
    gold: Tensor
    decision: Decision

    def predicted(self) -> Tensor:
        """(N, V) bool, the predicted labels."""
        return self.decision.labels(self.logits)


class TextClassificationReports(SupervisedReports):
    """The reports of a classifier in training (see `tasks.task.Reports`).

    Args:
        setup: the setup of the training.
        source: the source of the texts.
        encoder: the parts of the model's encoder.
        model: the trained model.
        labels: the V names of the labels.
        decision: how logits become labels.
        examples: the texts of each split.
        notices: lines for the user about the stored vectors.
    """

    source: LabelledSource
    model: Classifier
    examples: Mapping[Split, TextExamples]

    def __init__(
        self,
        *,
        setup: Setup,
        source: LabelledSource,
        encoder: EncoderParts,
        model: Classifier,
        labels: Sequence[str],
        decision: Decision,
        examples: Mapping[Split, TextExamples],
        notices: Sequence[str],
    ) -> None:
        self.setup, self.source, self.encoder, self.model = setup, source, encoder, model
        self.labels, self.decision = list(labels), decision
        self.examples, self.notices = examples, notices
        self._test: Results | None = None

    def facts(self) -> dict[str, float | str]:
        """Counts of texts and words, and warnings about the data."""
        facts: dict[str, float | str] = {"labels": len(self.labels), **self.encoder.facts(self.setup)}
        facts |= self.source.cut_facts()
        known = self.examples["train"].counts()
        for split, examples in self.examples.items():
            facts |= {f"{split} {name}": value for name, value in examples.facts(known).items()}
            unused = [self.labels[i] for i in (~examples.gold_NV.any(dim=0)).nonzero().flatten().tolist()]
            if unused:
                facts[f"{split} labels without a text"] = ", ".join(unused)
        if self.notices:
            facts["features"] = "; ".join(self.notices)
        return facts | self.contamination()

    def activation_bytes(self, units_per_batch: int) -> int:
        """An estimate for texts of mean length: the head's inputs and outputs, with their gradients."""
        representation, head = self.model.representation, self.model.head
        words = units_per_batch * float(self.examples["train"].num_words.mean())
        sizes = 6 * (representation.input_size + representation.injected_size) + 12 * head.output_size
        return int(4 * words * sizes)

    def conclude(self) -> dict[str, float]:
        """The test scores of the model, of the most frequent label and of naive Bayes."""
        self._test = self._results("test")
        figures = named("test", scores(self._test.logits, self._test.gold, self.decision))
        train, dev, test = (self.examples[split] for split in SPLITS)
        return {
            **figures,
            "dev/majority_accuracy": majority_accuracy(train, dev),
            **baseline_figures(train, test, multi_label=self.decision.multi_label),
            "test/texts": len(test),
            **self.mix_figures(),
        }

    def table(self, figures: Mapping[str, float]) -> Table:
        """Dev and test scores with those of the baselines, and a warning if the model is not better."""
        return with_mixes(score_table(figures), figures)

    def tables(self) -> dict[str, Table]:
        """The scores of each label and the confusion matrix on the test split."""
        return tables(self._concluded(), "test") | self.mix_tables()

    def write_reports(self, path: Path) -> None:
        """Write the test split's predictions, the scores of each text and label, and a plot of the confusion
        matrix."""
        write_reports(path, self._concluded(), "test")
        self.draw_mixes(path)

    def saved_facts(self) -> dict[str, Any]:
        return {
            "labels": self.labels,
            "multi_label": self.decision.multi_label,
            "texts": {"prose": self.source.prose, "language": self.source.language},
            "table": asdict(self.source.table),
        }

    def _results(self, split: Split) -> Results:
        examples = self.examples[split]
        logits_NV = logits_of(
            self.model,
            examples,
            batch_size=self.setup.batch_size,
            split=split,
            tell=self.setup.tell,
            processes=self.setup.processes,
        )
        return Results(
            examples.names, examples.texts, self.labels, logits_NV, examples.gold_NV, self.decision
        )

    def _concluded(self) -> Results:
        if self._test is None:
            self._test = self._results("test")
        return self._test


def answer(logits_V: Tensor, labels: Sequence[str], decision: Decision) -> dict[str, Any]:
    """The prediction for one text: `label` and its `probability`, or `labels`; and all `probabilities`."""
    probabilities = dict(zip(labels, decision.probabilities(logits_V[None])[0].tolist(), strict=True))
    chosen = names_of(decision.labels(logits_V[None])[0], labels)
    if decision.multi_label:
        return {"labels": chosen, "probabilities": probabilities}
    return {"label": chosen[0], "probability": probabilities[chosen[0]], "probabilities": probabilities}


def names_of(chosen_V: Tensor, labels: Sequence[str]) -> list[str]:
    """The names of the labels that are true in a boolean row."""
    return [labels[index] for index in chosen_V.nonzero().flatten().tolist()]


def tables(results: Results, split: str) -> dict[str, Table]:
    """The scores of each label and, if a text has exactly one label, the confusion matrix; by name."""
    found = {f"{split}/labels": label_scores(results.predicted(), results.gold, results.labels)}
    if not results.decision.multi_label:
        rows = confusion_matrix(results.predicted(), results.gold).tolist()
        named = [[label, *row] for label, row in zip(results.labels, rows, strict=True)]
        found[f"{split}/confusion"] = (["gold", *(f"predicted {label}" for label in results.labels)], named)
    return found


def write_reports(path: Path, results: Results, split: str) -> None:
    """Write `<split>.jsonl`, `<split>_labels.json` and `<split>_scores.json` in predictions/, and
    `plots/confusion.png`."""
    with atomic_write(path / "predictions" / f"{split}.jsonl") as aside:
        aside.write_text("".join(f"{line}\n" for line in _lines(results)), encoding="utf-8")
    columns, rows = label_scores(results.predicted(), results.gold, results.labels)
    report = {row[0]: dict(zip(columns[1:], row[1:], strict=True)) for row in rows}
    with atomic_write(path / "predictions" / f"{split}_labels.json") as aside:
        aside.write_text(json_text(report, indent=2) + "\n", encoding="utf-8")
    accuracies_N = text_accuracies(results.predicted(), results.gold)
    write_example_scores(path, split, ExampleScores(results.names, {"accuracy": accuracies_N.tolist()}))
    if not results.decision.multi_label:
        counts_VV = confusion_matrix(results.predicted(), results.gold)
        draw_confusion(path / "plots" / "confusion.png", counts_VV, results.labels)


def score_table(figures: Mapping[str, float]) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of a table of scores in percent; the last row may be a warning."""
    columns = {"accuracy": "accuracy", "macro_f1": "macro F1", "micro_f1": "micro F1"}
    columns = {key: name for key, name in columns.items() if f"test/{key}" in figures}
    columns["calibration_error"] = "calibration error"
    rows: list[list[Any]] = [
        [split, *(figures[f"{split}/{key}"] for key in columns)]
        for split in SPLITS
        if f"{split}/accuracy" in figures
    ]
    names = {
        "test/naive_bayes": "test, naive Bayes",
        "dev/majority": "dev, most frequent label",
        "test/majority": "test, most frequent label",
    }
    rows += [
        [name, figures[f"{key}_accuracy"], *[None] * (len(columns) - 1)]
        for key, name in names.items()
        if f"{key}_accuracy" in figures
    ]
    if figures.get("dev/accuracy", 100.0) <= figures.get("dev/majority_accuracy", 0.0):
        warning = "warning: not better on dev than the most frequent label"
        rows.append([warning, *[None] * len(columns)])
    return ["percent", *columns.values()], rows


def named(split: Split, figures: Mapping[str, float]) -> dict[str, float]:
    """Figures with `<split>/` before their names."""
    return {f"{split}/{name}": value for name, value in figures.items()}


def _lines(results: Results) -> list[str]:
    """A line of JSON for each text: its name, the text itself, its gold labels, and the prediction."""
    multi_label, lines = results.decision.multi_label, []
    rows = zip(results.names, results.texts, results.logits, results.gold, strict=True)
    for name, text, logits_V, gold_V in rows:
        gold = names_of(gold_V, results.labels)
        said = {"name": name, "text": text, "gold": gold if multi_label else gold[0]}
        said |= answer(logits_V, results.labels, results.decision)
        lines.append(json_text(said))
    return lines
