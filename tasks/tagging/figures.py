"""The figures of a tagger by name: scores of tags and spans, tables of them, the score of each sentence."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tasks.sources.shared.split import SPLITS
from tasks.sources.tagged.schemes import spans_of
from tasks.sources.tagged.source import TaggedSentence
from tasks.supervised.example_scores import ExampleScores
from tasks.supervised.reports import Table
from tasks.tagging.labels import LabelSet
from tasks.tagging.scores import accuracy, accuracy_ratio, span_ratios, span_scores

_COLUMNS = {"f1": "F1", "precision": "precision", "recall": "recall", "accuracy": "accuracy of tags"}

Tags = Sequence[Sequence[str]]  # of the words of each sentence


def score_names(*, has_spans: bool) -> list[str]:
    """The names of the figures that `tag_scores` returns."""
    return [*(["f1", "precision", "recall"] if has_spans else []), "accuracy"]


def tag_scores(gold: Tags, predicted: Tags, *, has_spans: bool) -> dict[str, float]:
    """In percent: the accuracy of words' tags and, if tags are spans in BIO, these spans' F1, precision and
    recall."""
    scores: dict[str, float] = {}
    if has_spans:
        found = span_scores([spans_of(tags) for tags in gold], [spans_of(tags) for tags in predicted])
        scores = {"f1": found.f1, "precision": found.precision, "recall": found.recall}
    return {**scores, "accuracy": accuracy(gold, predicted)}


def final_figures(
    tagged: Sequence[TaggedSentence],
    predicted: Tags,
    labels: LabelSet,
    *,
    known: Collection[str] | None = None,
) -> dict[str, float]:
    """The scores of test sentences by metric name; with `known` words, also the accuracy of all others."""
    gold = [sentence.tags for sentence in tagged]
    figures = tag_scores(gold, predicted, has_spans=labels.has_spans)
    new = [[known is not None and word not in known for word in sentence.words] for sentence in tagged]
    if any(map(any, new)):
        figures["unknown_accuracy"] = accuracy(_chosen(gold, new), _chosen(predicted, new))
    found = {f"test/{name}": value for name, value in figures.items()}
    return {**found, "test/sentences": len(tagged), "test/words": sum(map(len, gold))}


def label_table(gold: Tags, predicted: Tags, labels: LabelSet) -> Table:
    """Columns and rows of a table: precision, recall and F1 of each type of span, or of each tag."""
    found = span_scores([labels.spans(tags) for tags in gold], [labels.spans(tags) for tags in predicted])
    kind, number = ("type", "spans") if labels.has_spans else ("tag", "words")
    rows = [
        [label, counts.precision, counts.recall, counts.f1, counts.gold]
        for label, counts in found.by_type.items()
    ]
    return [kind, "precision", "recall", "f1", number], rows


def example_scores(tagged: Sequence[TaggedSentence], predicted: Tags, *, has_spans: bool) -> ExampleScores:
    """What each sentence adds to the numerators and denominators of the scores."""
    gold = [sentence.tags for sentence in tagged]
    ratios = {"accuracy": accuracy_ratio(gold, predicted)}
    if has_spans:
        ratios |= span_ratios([spans_of(tags) for tags in gold], [spans_of(tags) for tags in predicted])
    return ExampleScores([sentence.name for sentence in tagged], {}, ratios)


def score_table(figures: Mapping[str, float]) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of a table of scores in percent."""
    columns = {key: name for key, name in _COLUMNS.items() if f"test/{key}" in figures}
    names = {f"{split}/": split for split in SPLITS} | {
        "test/unknown_": "test, words not in training",
        "test/most_frequent_": "test, each word's most frequent tag",
    }
    rows = [
        [name, *(figures.get(f"{prefix}{key}") for key in columns)]
        for prefix, name in names.items()
        if f"{prefix}accuracy" in figures
    ]
    return ["percent", *columns.values()], rows


def _chosen(tags: Tags, is_chosen: Sequence[Sequence[bool]]) -> list[list[str]]:
    """The tags of chosen words."""
    return [
        [tag for tag, chosen in zip(sentence, mask, strict=True) if chosen]
        for sentence, mask in zip(tags, is_chosen, strict=True)
    ]
