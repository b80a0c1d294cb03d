"""Exact match and F1 of answers, by the rules of the evaluation scripts of SQuAD 1.1 and SQuAD 2.0.

Rajpurkar et al. (2016, section 6.1; 2018, section 2.2). Scores are percentages, means over all questions.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")

NEVER = 1.0  # the threshold that no probability is above


class Prediction(NamedTuple):
    """The best answer to a question, and the probability that there is none."""

    text: str
    no_answer_probability: float


class QuestionScore(NamedTuple):
    """Of one answer, both from 0 to 1."""

    exact_match: float
    f1: float


def normalize_answer(text: str) -> str:
    """Lower case, without ASCII punctuation, English articles and superfluous white space."""
    return " ".join(_ARTICLE.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def score_answer(answer: str, golds: Sequence[str], *, unanswerable: bool) -> QuestionScore:
    """The scores of one answer, by whichever gold answer gives the most.

    Args:
        answer: the text; empty for none.
        golds: the right answers; none for a question that cannot be answered.
        unanswerable: whether the data has such questions. Then the rules are those of SQuAD 2.0: gold answers
            of which normalising leaves nothing do not count, and no answer is right where there is no gold
            one. By those of SQuAD 1.1 an answer of which nothing is left has an F1 of 0 in any case.
    """
    ours = normalize_answer(answer)
    theirs = [normalize_answer(gold) for gold in golds]
    if unanswerable:
        theirs = list(filter(None, theirs)) or [""]
    return QuestionScore(
        exact_match=float(ours in theirs),
        f1=max((_f1(ours, gold, both_empty=float(unanswerable)) for gold in theirs), default=0.0),
    )


def score_answers(
    golds: Mapping[str, Sequence[str]], predictions: Mapping[str, Prediction], *, threshold: float
) -> dict[str, float]:
    """The mean scores in percent, over all questions and, where some cannot be answered, over either kind.

    Args:
        golds: the right answers to each question, by its id; none where it cannot be answered.
        predictions: for the same ids.
        threshold: of the probability of there being no answer, above which none is given.
    """
    unanswerable = has_unanswerable(golds)
    scores = {
        id: score_answer(predictions[id].text, golds[id], unanswerable=unanswerable)
        if predictions[id].no_answer_probability <= threshold
        else QuestionScore(float(not golds[id]), float(not golds[id]))
        for id in golds
    }
    groups = {"": list(scores.values())}
    if unanswerable:
        groups["has_answer_"] = [score for id, score in scores.items() if golds[id]]
        groups["no_answer_"] = [score for id, score in scores.items() if not golds[id]]
    return {
        f"{group}{metric}": 100 * sum(getattr(score, metric) for score in members) / len(members)
        for group, members in groups.items()
        if members
        for metric in QuestionScore._fields
    }


def has_unanswerable(golds: Mapping[str, Sequence[str]]) -> bool:
    """Whether some question has no answer, so that the rules of SQuAD 2.0 hold."""
    return not all(golds.values())


def best_threshold(
    golds: Mapping[str, Sequence[str]], predictions: Mapping[str, Prediction], *, metric: str
) -> tuple[float, float]:
    """The best mean score in percent that a threshold can give, and that threshold, as in SQuAD 2.0.

    Questions are answered in the order of their probability of having no answer; the threshold is that of the
    last one whose answering helps, 0 where none does.

    Args:
        golds: the right answers to each question, by its id.
        predictions: for the same ids.
        metric: `exact_match` or `f1`.
    """
    total = best = float(sum(not golds[id] for id in golds))
    threshold = 0.0
    for id in sorted(golds, key=lambda id: predictions[id].no_answer_probability):
        answer, probability = predictions[id]
        if golds[id]:
            total += getattr(score_answer(answer, golds[id], unanswerable=True), metric)
        elif answer:
            total -= 1
        if total > best:
            best, threshold = total, probability
    return 100 * best / len(golds), threshold


def _f1(ours: str, gold: str, *, both_empty: float) -> float:
    """The harmonic mean of precision and recall of normalised words, each counted as often as it occurs."""
    our_words, gold_words = ours.split(), gold.split()
    num_same = sum((Counter(our_words) & Counter(gold_words)).values())
    if not our_words and not gold_words:
        return both_empty
    return 2 * num_same / (len(our_words) + len(gold_words))
