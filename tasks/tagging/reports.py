"""The reports of a tagger: counts, scores, predictions, a confusion picture, the model directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from elmo.files import atomic_write, json_text
from tasks.sources.shared.split import Split
from tasks.sources.tagged.schemes import OUTSIDE
from tasks.sources.tagged.source import TaggedSentence, TaggedSource
from tasks.supervised.confusion import draw_confusion
from tasks.supervised.encoder_parts import EncoderParts
from tasks.supervised.example_scores import write_example_scores
from tasks.supervised.reports import SupervisedReports, Table, with_mixes
from tasks.tagging.baselines import baseline_figures
from tasks.tagging.examples import TagExamples
from tasks.tagging.figures import example_scores, final_figures, label_table, score_table
from tasks.tagging.labels import LabelSet
from tasks.tagging.model import Tagger, predict_tags
from tasks.tagging.scores import confusion_counts
from tasks.task import Setup


class Results(NamedTuple):
    """Sentences with their gold tags, and the tags that a model gives them.

    Attributes:
        tagged: the sentences.
        predicted: the tags of each one's words.
        labels: that the model predicts.
    """

    tagged: Sequence[TaggedSentence]
    predicted: Sequence[Sequence[str]]
    labels: LabelSet

    @property
    def gold(self) -> list[Sequence[str]]:
        return [sentence.tags for sentence in self.tagged]


class TaggingReports(SupervisedReports):
    """The reports of a tagger in training (see `tasks.task.Reports`).

    Args:
        setup: the setup of the training.
        source: the source of the sentences.
        encoder: the parts of the model's encoder.
        model: the trained model.
        labels: that it predicts.
        examples: the sentences of each split.
        notices: lines for the user about the stored vectors.
    """

    source: TaggedSource
    model: Tagger
    examples: Mapping[Split, TagExamples]

    def __init__(
        self,
        *,
        setup: Setup,
        source: TaggedSource,
        encoder: EncoderParts,
        model: Tagger,
        labels: LabelSet,
        examples: Mapping[Split, TagExamples],
        notices: Sequence[str],
    ) -> None:
        self.setup, self.source, self.encoder, self.model = setup, source, encoder, model
        self.labels, self.examples, self.notices = labels, examples, notices
        self._test: Results | None = None

    def facts(self) -> dict[str, float | str]:
        """Counts of sentences and words, and warnings about the data."""
        types = self.labels.types()
        facts: dict[str, float | str] = {
            "types of spans" if self.labels.has_spans else "tags": len(types - {OUTSIDE}),
            **self.encoder.facts(self.setup),
            **self.source.cut_facts(),
        }
        known = self.examples["train"].counts()
        for split, examples in self.examples.items():
            facts |= {f"{split} {name}": value for name, value in examples.facts(known, self.labels).items()}
        if self.notices:
            facts["features"] = "; ".join(self.notices)
        return facts | self.contamination()

    def activation_bytes(self, units_per_batch: int) -> int:
        """An estimate for sentences of mean length: the head's and the CRF's values, with their gradients."""
        representation, lengths = self.model.representation, self.examples["train"].lengths()
        words = units_per_batch * sum(lengths) / len(lengths)
        sizes = (
            6 * (representation.input_size + representation.injected_size) + 12 * self.model.head.output_size
        )
        return int(4 * words * (sizes + 12 * len(self.labels)))

    def conclude(self) -> dict[str, float]:
        """The test scores of the model and of the most frequent tag of each word."""
        self._test = self._results("test")
        train, test = self.examples["train"], self.examples["test"]
        figures = final_figures(test.tagged, self._test.predicted, self.labels, known=train.counts())
        return figures | baseline_figures(train, test, self.labels) | self.mix_figures()

    def table(self, figures: Mapping[str, float]) -> Table:
        """Dev and test scores with those of the baseline."""
        return with_mixes(score_table(figures), figures)

    def tables(self) -> dict[str, Table]:
        """The scores of each type of span, or of each tag, on the test split."""
        return tables(self._concluded(), "test") | self.mix_tables()

    def write_reports(self, path: Path) -> None:
        """Write the test split's predictions, the scores of each sentence and type, and a picture of the
        confusion matrix."""
        write_reports(path, self._concluded(), "test")
        self.draw_mixes(path)

    def saved_facts(self) -> dict[str, Any]:
        return {
            "labels": {"names": self.labels.names, "scheme": self.labels.scheme},
            "sentences": {"language": self.source.language, "has_predicates": self.source.has_predicates},
        }

    def _results(self, split: Split) -> Results:
        examples = self.examples[split]
        predicted = predict_tags(
            self.model,
            examples,
            self.labels,
            batch_size=self.setup.batch_size,
            split=split,
            tell=self.setup.tell,
            processes=self.setup.processes,
        )
        return Results(examples.tagged, predicted, self.labels)

    def _concluded(self) -> Results:
        if self._test is None:
            self._test = self._results("test")
        return self._test


def tables(results: Results, split: str) -> dict[str, Table]:
    """Precision, recall and F1 of each type of span, or of each tag; by name."""
    name = "types" if results.labels.has_spans else "tags"
    return {f"{split}/{name}": label_table(results.gold, results.predicted, results.labels)}


def write_reports(path: Path, results: Results, split: str) -> None:
    """Write `<split>.conll`, `<split>.jsonl`, `<split>_types.json` or `<split>_tags.json`, and
    `<split>_scores.json` in predictions/, and `plots/confusion.png`."""
    ((name, (columns, rows)),) = tables(results, split).items()
    report = {row[0]: dict(zip(columns[1:], row[1:], strict=True)) for row in rows}
    contents = {
        f"{split}.conll": "".join(_columns(results)),
        f"{split}.jsonl": "".join(f"{line}\n" for line in _lines(results)),
        f"{name.replace('/', '_')}.json": json_text(report, indent=2) + "\n",
    }
    for file, content in contents.items():
        with atomic_write(path / "predictions" / file) as aside:
            aside.write_text(content, encoding="utf-8")
    scores = example_scores(results.tagged, results.predicted, has_spans=results.labels.has_spans)
    write_example_scores(path, split, scores)
    _draw_confusion(path / "plots" / "confusion.png", results)


def _columns(results: Results) -> list[str]:
    """Lines of a word, its gold tag and its predicted one, as the CoNLL script reads them."""
    lines = []
    for sentence, tags in zip(results.tagged, results.predicted, strict=True):
        lines += [
            " ".join(columns) + "\n" for columns in zip(sentence.words, sentence.tags, tags, strict=True)
        ]
        lines.append("\n")
    return lines


def _lines(results: Results) -> list[str]:
    """A line of JSON for each sentence."""
    return [
        json_text(
            {
                "name": sentence.name,
                "words": sentence.words,
                **({} if sentence.predicate is None else {"predicate": sentence.predicate}),
                "gold": sentence.tags,
                "tags": tags,
            }
        )
        for sentence, tags in zip(results.tagged, results.predicted, strict=True)
    ]


def _draw_confusion(path: Path, results: Results) -> None:
    """Count words by their gold tag and their predicted one; of spans by their types alone."""

    def label_of(tag: str) -> str:
        return tag.partition("-")[2] or tag if results.labels.has_spans else tag

    labels = [
        [[label_of(tag) for tag in tags] for tags in both] for both in (results.gold, results.predicted)
    ]
    counted = confusion_counts(*labels)
    names = sorted({label for pair in counted for label in pair})
    counts_VV = torch.tensor([[counted.get((gold, tag), 0) for tag in names] for gold in names])
    draw_confusion(path, counts_VV, names)
