"""Exact match and F1 of answers, as in the evaluation scripts of SQuAD 1.1 and SQuAD 2.0.

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

NEVER = 1.0  # a threshold that no probability exceeds: never predict "no answer"


class Prediction(NamedTuple):
    """The best answer to a question, and the probability of no answer."""

    text: str
    no_answer_probability: float


class QuestionScore(NamedTuple):
    """The scores of one answer, both from 0 to 1."""

    exact_match: float
    f1: float


GROUPS = ("", "has_answer_", "no_answer_")  # of questions; the last two only if some have no answer
SCORES = tuple(f"{group}{metric}" for group in GROUPS for metric in QuestionScore._fields)


def normalize_answer(text: str) -> str:
    """Lower case, without ASCII punctuation, English articles and superfluous white space."""
    return " ".join(_ARTICLE.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def score_answer(answer: str, golds: Sequence[str], *, unanswerable: bool) -> QuestionScore:
    """The scores of one answer: the maximum over the gold answers.

    Args:
        answer: the text; empty for no answer.
        golds: the gold answers; empty for a question without an answer.
        unanswerable: whether the data has questions without an answer. Then the rules of SQuAD 2.0 apply:
            gold answers that are empty after normalisation are ignored, and an empty answer is correct if no
            gold answer is left. With the rules of SQuAD 1.1, an answer that is empty after normalisation has
            an F1 of 0.
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
    """The mean scores in percent over all questions and, if some have no answer, also over both kinds.

    Args:
        golds: the gold answers to each question, by its id; empty if it has no answer.
        predictions: for the same ids.
        threshold: if the probability of no answer is above it, the prediction is "no answer".
    """
    scores = question_scores(golds, predictions, threshold=threshold)
    unanswerable = has_unanswerable(golds)
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


def question_scores(
    golds: Mapping[str, Sequence[str]], predictions: Mapping[str, Prediction], *, threshold: float
) -> dict[str, QuestionScore]:
    """The scores of each question by its id; see `score_answers`."""
    unanswerable = has_unanswerable(golds)
    return {
        id: score_answer(predictions[id].text, golds[id], unanswerable=unanswerable)
        if predictions[id].no_answer_probability <= threshold
        else QuestionScore(float(not golds[id]), float(not golds[id]))
        for id in golds
    }


def score_names(golds: Mapping[str, Sequence[str]]) -> list[str]:
    """The names of the scores that `score_answers` returns for these questions."""
    is_there = {"": True, "has_answer_": any(golds.values()), "no_answer_": True}
    groups = [group for group in GROUPS if is_there[group]] if has_unanswerable(golds) else [""]
    return [f"{group}{metric}" for group in groups for metric in QuestionScore._fields]


def has_unanswerable(golds: Mapping[str, Sequence[str]]) -> bool:
    """Whether some question has no answer, so that the rules of SQuAD 2.0 apply."""
    return not all(golds.values())


def best_threshold(
    golds: Mapping[str, Sequence[str]], predictions: Mapping[str, Prediction], *, metric: str
) -> tuple[float, float]:
    """The best mean score in percent over all thresholds, and its threshold, as in SQuAD 2.0's script.

    Questions are answered one after the other, by ascending probability of no answer. The threshold is the
    probability at which the mean score is highest, 0 if it is highest without any answer.

    Args:
        golds: the gold answers to each question, by its id.
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
    """The harmonic mean of precision and recall over the normalised words, as multisets."""
    our_words, gold_words = ours.split(), gold.split()
    num_same = sum((Counter(our_words) & Counter(gold_words)).values())
    if not our_words and not gold_words:
        return both_empty
    return 2 * num_same / (len(our_words) + len(gold_words))
