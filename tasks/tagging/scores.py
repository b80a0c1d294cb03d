"""Scores of tags and of labelled spans, in percent: those of the CoNLL script conlleval and of seqeval.

Tjong Kim Sang and De Meulder (2003, section 2): a predicted span is correct if its words and its label are
those of a gold span. Tags that are no spans have the same scores, with each word a span of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tasks.sources.tagged.schemes import Span


class SpanCounts(NamedTuple):
    """Numbers of spans: predicted ones that are correct, predicted ones, gold ones."""

    hits: int
    predicted: int
    gold: int

    @property
    def precision(self) -> float:
        """The percentage of predicted spans that are correct; 0 if there are none."""
        return _percent(self.hits, self.predicted)

    @property
    def recall(self) -> float:
        """The percentage of gold spans that are predicted; 0 if there are none."""
        return _percent(self.hits, self.gold)

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return _percent(2 * self.hits, self.predicted + self.gold)


@dataclass(frozen=True)
class SpanScores:
    """The scores of predicted spans.

    Attributes:
        by_type: the counts of each label that is gold or predicted, by label in alphabetical order.
    """

    by_type: Mapping[str, SpanCounts]

    @property
    def micro(self) -> SpanCounts:
        """The counts of all spans, whose F1 is that of the CoNLL script."""
        return _total(self.by_type.values())

    @property
    def precision(self) -> float:
        return self.micro.precision

    @property
    def recall(self) -> float:
        return self.micro.recall

    @property
    def f1(self) -> float:
        return self.micro.f1

    @property
    def macro_precision(self) -> float:
        """The mean over the labels, as of `macro_recall` and `macro_f1`; 0 if there are none."""
        return _mean([counts.precision for counts in self.by_type.values()])

    @property
    def macro_recall(self) -> float:
        return _mean([counts.recall for counts in self.by_type.values()])

    @property
    def macro_f1(self) -> float:
        return _mean([counts.f1 for counts in self.by_type.values()])


def span_scores(gold: Sequence[Sequence[Span]], predicted: Sequence[Sequence[Span]]) -> SpanScores:
    """The scores of the spans predicted in some sentences, against the gold ones of the same sentences."""
    hits, predictions, golds = Counter[str](), Counter[str](), Counter[str]()
    for its_gold, its_predicted in zip(gold, predicted, strict=True):
        golds.update(span.label for span in its_gold)
        predictions.update(span.label for span in its_predicted)
        hits.update(span.label for span in set(its_gold) & set(its_predicted))
    labels = sorted(golds.keys() | predictions.keys())
    return SpanScores({label: SpanCounts(hits[label], predictions[label], golds[label]) for label in labels})


def span_ratios(
    gold: Sequence[Sequence[Span]], predicted: Sequence[Sequence[Span]]
) -> dict[str, tuple[list[int], list[int]]]:
    """For F1, precision and recall the numerators and denominators of all sentences.

    The score of any sentences is the ratio of their sums; it is no mean of sentences' scores.
    """
    counts = [
        SpanCounts(len(set(its_gold) & set(its_predicted)), len(its_predicted), len(its_gold))
        for its_gold, its_predicted in zip(gold, predicted, strict=True)
    ]
    hits = [each.hits for each in counts]
    return {
        "f1": ([2 * each.hits for each in counts], [each.predicted + each.gold for each in counts]),
        "precision": (hits, [each.predicted for each in counts]),
        "recall": (hits, [each.gold for each in counts]),
    }


def accuracy_ratio(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]
) -> tuple[list[int], list[int]]:
    """The numerators and denominators of all sentences for the accuracy: words with their gold tag, words."""
    hits = [
        sum(one == other for one, other in zip(its_gold, its_predicted, strict=True))
        for its_gold, its_predicted in zip(gold, predicted, strict=True)
    ]
    return hits, [len(tags) for tags in gold]


def accuracy(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """The percentage of words with their gold tag; 0 if there is no word."""
    hits, words = accuracy_ratio(gold, predicted)
    return _percent(sum(hits), sum(words))


def confusion_counts(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]
) -> dict[tuple[str, str], int]:
    """The number of words of each gold tag with each predicted one."""
    return Counter(
        pair
        for its_gold, its_predicted in zip(gold, predicted, strict=True)
        for pair in zip(its_gold, its_predicted, strict=True)
    )


def _total(counts: Iterable[SpanCounts]) -> SpanCounts:
    return SpanCounts(*map(sum, zip(SpanCounts(0, 0, 0), *counts, strict=True)))


def _percent(count: int, total: int) -> float:
    return 100 * count / total if total else 0.0


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
