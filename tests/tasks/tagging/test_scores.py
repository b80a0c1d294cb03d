"""Scores of tags and spans, beside seqeval's and beside figures worked by hand."""

from __future__ import annotations

import random
import warnings

import pytest

from tasks.sources.tagged.schemes import DataScheme, Scheme, Span, spans_of, tags_of, to_bio
from tasks.tagging.scores import (
    SpanCounts,
    accuracy,
    accuracy_ratio,
    confusion_counts,
    span_ratios,
    span_scores,
)

GOLD = ["B-PER I-PER O B-LOC", "O B-ORG I-ORG B-ORG", "O O", "B-PER"]
PREDICTED = ["B-PER I-PER O B-ORG", "O B-ORG I-ORG I-ORG", "B-MISC O", "B-PER"]


def spans(taggings: list[str], scheme: Scheme = "bio") -> list[list[Span]]:
    return [spans_of(tags.split(), scheme=scheme) for tags in taggings]


def test_a_span_counts_if_its_words_and_its_label_are_right() -> None:
    found = span_scores(spans(GOLD), spans(PREDICTED))
    assert found.by_type == {
        "LOC": SpanCounts(hits=0, predicted=0, gold=1),
        "MISC": SpanCounts(hits=0, predicted=1, gold=0),
        "ORG": SpanCounts(hits=0, predicted=2, gold=2),  # one of two words too many, one on another's place
        "PER": SpanCounts(hits=2, predicted=2, gold=2),
    }
    assert (found.precision, found.recall, found.f1) == (40.0, 40.0, 40.0)
    assert (found.macro_precision, found.macro_recall, found.macro_f1) == (25.0, 25.0, 25.0)
    person = found.by_type["PER"]
    assert (person.precision, person.recall, person.f1) == (100.0, 100.0, 100.0)


def test_the_parts_of_sentences_add_up_to_the_scores() -> None:
    ratios = span_ratios(spans(GOLD), spans(PREDICTED))
    assert ratios["f1"] == ([2, 0, 0, 2], [4, 3, 1, 2])
    assert (ratios["precision"][1], ratios["recall"][1]) == ([2, 1, 1, 1], [2, 2, 0, 1])
    found = span_scores(spans(GOLD), spans(PREDICTED))
    for name, (numerators, denominators) in ratios.items():
        assert 100 * sum(numerators) / sum(denominators) == getattr(found, name)
    assert accuracy_ratio([["DT", "NN"], ["NN"]], [["DT", "VB"], ["NN"]]) == ([1, 1], [2, 1])


def test_broken_tags_are_scored_as_the_conll_script_reads_them() -> None:
    # I-PER begins a span after O, and after a span of another label
    found = span_scores(
        spans(["I-PER I-PER O I-LOC", "B-LOC I-PER"]), spans(["B-PER I-PER O B-LOC", "B-LOC B-PER"])
    )
    assert (found.f1, found.micro) == (100.0, SpanCounts(4, 4, 4))
    # in BIOES, a span that is not closed ends before the next word that does not go on with it
    found = span_scores(
        spans(["B-PER I-PER B-PER E-PER I-PER"], "bioul"), spans(["B-PER I-PER B-PER I-PER B-PER"])
    )
    assert found.micro == SpanCounts(3, 3, 3)


def test_scores_without_spans_are_zero() -> None:
    found = span_scores([[], []], [[], []])
    assert (found.f1, found.macro_f1, found.by_type) == (0.0, 0.0, {})
    assert span_scores(spans(["B-a"]), [[]]).precision == 0.0
    assert accuracy([], []) == 0.0


def test_accuracy_and_confusion_are_over_words() -> None:
    gold, predicted = [["DT", "NN"], ["NN", "VB"]], [["DT", "VB"], ["NN", "NN"]]
    assert accuracy(gold, predicted) == 50.0
    assert confusion_counts(gold, predicted) == {
        ("DT", "DT"): 1,
        ("NN", "VB"): 1,
        ("NN", "NN"): 1,
        ("VB", "NN"): 1,
    }
    words = span_scores(
        *(
            [[Span(tag, place, place + 1) for place, tag in enumerate(tags)] for tags in side]
            for side in (gold, predicted)
        )
    )
    assert words.by_type["NN"] == SpanCounts(hits=1, predicted=2, gold=2)
    assert words.f1 == 50.0  # each word has one tag: precision, recall and accuracy are one


@pytest.mark.parametrize("scheme", ["bio", "iob1", "bioul"])
def test_a_thousand_random_taggings_have_the_scores_of_seqeval(scheme: DataScheme) -> None:
    """Any tags of a scheme, most of them broken, a third of the predictions equal to the gold tags."""
    seqeval = pytest.importorskip("seqeval.metrics")
    choices = random.Random(scheme)
    letters = "BILU" if scheme == "bioul" else "BI"
    tags = ["O", *(f"{letter}-{label}" for letter in letters for label in ("PER", "LOC", "creative-work"))]
    gold = [choices.choices(tags, k=choices.randint(1, 12)) for _ in range(1000)]
    predicted = [its if choices.random() < 0.3 else choices.choices(tags, k=len(its)) for its in gold]
    found = span_scores(
        *([spans_of(to_bio(its, scheme=scheme)[0]) for its in side] for side in (gold, predicted))
    )
    bioes = str.maketrans("LU", "ES")  # seqeval reads these letters as the CoNLL script does
    read = [
        [[tag[:1].translate(bioes) + tag[1:] for tag in its] for its in side] for side in (gold, predicted)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = seqeval.classification_report(*read, output_dict=True, zero_division=0)
    expected = {
        name: tuple(100 * report[name][key] for key in ("precision", "recall", "f1-score")) for name in report
    }
    micro = (found.precision, found.recall, found.f1)
    macro = (found.macro_precision, found.macro_recall, found.macro_f1)
    assert micro == pytest.approx(expected.pop("micro avg")) and macro == pytest.approx(
        expected.pop("macro avg")
    )
    del expected["weighted avg"]
    ours = {label: (counts.precision, counts.recall, counts.f1) for label, counts in found.by_type.items()}
    assert ours.keys() == expected.keys()
    for label, scores in ours.items():
        assert scores == pytest.approx(expected[label])
    assert 20 < found.f1 < 60


def test_converted_spans_have_the_scores_of_the_spans() -> None:
    choices = random.Random(5)
    tags = ["O", "B-a", "I-a", "B-b", "I-b"]
    gold, predicted = ([spans_of(choices.choices(tags, k=9)) for _ in range(50)] for _ in range(2))
    expected = span_scores(gold, predicted)
    for scheme in ("bio", "iob1", "bioul"):
        converted = (
            [spans_of(tags_of(its, 9, scheme=scheme), scheme=scheme) for its in side]
            for side in (gold, predicted)
        )
        assert span_scores(*converted) == expected
