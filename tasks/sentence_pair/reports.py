"""The reports of a model of pairs: counts, scores, predictions, pictures, the model directory.

Shape legend: N pairs, K outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from elmo.files import atomic_write, json_text
from tasks.sentence_pair.examples import PairExamples
from tasks.sentence_pair.model import PairModel, outputs_of
from tasks.sentence_pair.target import PairTarget
from tasks.sources.pairs.source import PairSource
from tasks.sources.shared.split import SPLITS, Split
from tasks.supervised.encoder_parts import EncoderParts
from tasks.supervised.example_scores import ExampleScores, write_example_scores
from tasks.supervised.reports import SupervisedReports, Table, with_mixes
from tasks.task import Setup

_COLUMNS = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "calibration_error": "calibration error",
    "pearson": "Pearson",
    "spearman": "Spearman",
    "mean_squared_error": "squared error, no percent",
}
_BASELINES = {
    "majority": "most frequent label",
    "second_side": "naive Bayes on second sides",
    "overlap": "words in common",
}


class SentencePairReports(SupervisedReports):
    """The reports of a model of pairs in training (see `tasks.task.Reports`).

    Args:
        setup: the setup of the training.
        source: the source of the pairs.
        encoder: the parts of the model's encoder.
        model: the trained model.
        target: what is predicted.
        examples: the pairs of each split.
        notices: lines for the user about the stored vectors.
    """

    source: PairSource
    model: PairModel
    examples: Mapping[Split, PairExamples]

    def __init__(
        self,
        *,
        setup: Setup,
        source: PairSource,
        encoder: EncoderParts,
        model: PairModel,
        target: PairTarget,
        examples: Mapping[Split, PairExamples],
        notices: Sequence[str],
    ) -> None:
        self.setup, self.source, self.encoder, self.model = setup, source, encoder, model
        self.target, self.examples, self.notices = target, examples, notices
        self._test_NK: Tensor | None = None

    def facts(self) -> dict[str, float | str]:
        """Counts of pairs and words, and warnings about the data."""
        facts = self.encoder.facts(self.setup) | self.source.cut_facts()
        known = self.examples["train"].counts()
        for split, examples in self.examples.items():
            found = examples.facts(known) | self.target.facts(examples.gold_N, examples.given)
            facts |= {f"{split} {name}": value for name, value in found.items()}
        if self.notices:
            facts["features"] = "; ".join(self.notices)
        return facts | self.contamination()

    def activation_bytes(self, units_per_batch: int) -> int:
        """An estimate for pairs of mean length: the head's inputs and layers, with their gradients."""
        representation, head = self.model.representation, self.model.head
        lengths = self.examples["train"].lengths()
        words = 2 * units_per_batch * sum(lengths) / len(lengths)
        sizes = 10 * (representation.input_size + representation.injected_size) + 40 * head.output_size
        return int(4 * words * sizes)

    def conclude(self) -> dict[str, float]:
        """The test scores of the model and of the baselines."""
        train, dev, test = (self.examples[split] for split in SPLITS)
        outputs_NK = self._test_NK = self._outputs("test")
        figures = named("test", self.target.scores(outputs_NK, test.gold_N))
        figures |= named("test", self.target.baselines(train, test))
        figures |= named("dev", self.target.baselines(train, dev))
        return {**figures, "test/pairs": len(test), **self.mix_figures()}

    def table(self, figures: Mapping[str, float]) -> Table:
        """Dev and test scores with those of the baselines, and a warning if the model is not better."""
        return with_mixes(score_table(figures), figures)

    def tables(self) -> dict[str, Table]:
        """Of labels their scores and the confusion matrix on the test split."""
        found = self.target.tables(self._concluded(), self.examples["test"].gold_N)
        return {f"test/{name}": table for name, table in found.items()} | self.mix_tables()

    def write_reports(self, path: Path) -> None:
        """Write the test split's predictions, the scores of each pair, and a picture of all."""
        test, outputs_NK = self.examples["test"], self._concluded()
        with atomic_write(path / "predictions" / "test.jsonl") as aside:
            lines = _lines(test, outputs_NK, self.target)
            aside.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        each = self.target.example_scores(outputs_NK, test.gold_N)
        write_example_scores(path, "test", ExampleScores(test.names, each))
        self.target.draw(path / "plots", outputs_NK, test.gold_N)
        self.draw_mixes(path)

    def saved_facts(self) -> dict[str, Any]:
        return {"target": self.target.saved(), "table": asdict(self.source.table)}

    def _outputs(self, split: Split) -> Tensor:
        return outputs_of(
            self.model,
            self.examples[split],
            batch_size=self.setup.batch_size,
            split=split,
            tell=self.setup.tell,
            processes=self.setup.processes,
        )

    def _concluded(self) -> Tensor:
        if self._test_NK is None:
            self._test_NK = self._outputs("test")
        return self._test_NK


def score_table(figures: Mapping[str, float]) -> Table:
    """Columns and rows of a table of scores, of dev and test and of the baselines.

    The last row may be a warning.
    """
    columns = {key: title for key, title in _COLUMNS.items() if f"test/{key}" in figures}
    rows: list[list[Any]] = [
        [split, *(_cell(key, figures[f"{split}/{key}"]) for key in columns)]
        for split in SPLITS
        if all(f"{split}/{key}" in figures for key in columns)
    ]
    for name, title in _BASELINES.items():
        for split in SPLITS:
            cells = [figures.get(f"{split}/{name}_{key}") for key in columns]
            if any(cell is not None for cell in cells):
                rows.append([f"{split}, {title}", *cells])
    if figures.get("dev/accuracy", 100.0) <= figures.get("dev/majority_accuracy", 0.0):
        rows.append(["warning: not better on dev than the most frequent label", *[None] * len(columns)])
    return ["percent", *columns.values()], rows


def _cell(key: str, value: float) -> float | str:
    """A score as a table shows it: percent have one decimal, a squared error needs more."""
    return f"{value:.3f}" if key == "mean_squared_error" else value


def named(split: Split, figures: Mapping[str, float]) -> dict[str, float]:
    """Figures with `<split>/` before their names."""
    return {f"{split}/{name}": value for name, value in figures.items()}


def _lines(examples: PairExamples, outputs_NK: Tensor, target: PairTarget) -> list[str]:
    """A line of JSON for each pair: its name, its sides, its gold label or score, and the prediction."""
    rows = zip(examples.names, examples.texts, examples.given, outputs_NK, strict=True)
    return [
        json_text({"name": name, "first": first, "second": second, "gold": gold} | target.answer(outputs_K))
        for name, (first, second), gold, outputs_K in rows
    ]
