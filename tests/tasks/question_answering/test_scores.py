"""The scores of answers: numbers worked by hand from the rules of SQuAD's evaluation scripts."""

from __future__ import annotations

import pytest

from tasks.question_answering.scores import (
    NEVER,
    Prediction,
    QuestionScore,
    best_threshold,
    has_unanswerable,
    normalize_answer,
    score_answer,
    score_answers,
)


def predicted(texts: dict[str, str], probabilities: dict[str, float] | None = None) -> dict[str, Prediction]:
    return {id: Prediction(text, (probabilities or {}).get(id, 0.0)) for id, text in texts.items()}


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("The  Cat", "cat"),
        ("the theatre of an Ant", "theatre of ant"),  # articles are words
        ("U.S. dollars ($5)", "us dollars 5"),
        ("well-known", "wellknown"),  # punctuation joins what is around it
        ("“quoted” text…", "“quoted” text…"),  # it is that of ASCII
        ("a\u00a0cat", "cat"),
        ("The!", ""),
        ("ÉCOLE", "école"),
    ],
)
def test_normalising(text: str, normalized: str) -> None:
    assert normalize_answer(text) == normalized


@pytest.mark.parametrize(
    ("answer", "golds", "exact_match", "f1"),
    [
        ("Denver Broncos", ["The Denver Broncos!"], 1.0, 1.0),
        ("Denver", ["Denver Broncos"], 0.0, 2 / 3),  # precision 1, recall 1/2
        ("Denver Denver", ["Denver Broncos"], 0.0, 1 / 2),  # a repeated word counts once
        ("to be or not to be", ["to be"], 0.0, 2 * 2 / (6 + 2)),
        ("1,000", ["1000"], 1.0, 1.0),
        ("Carolina", ["Denver Broncos"], 0.0, 0.0),
        ("Super Bowl", ["Bowl 50", "the Super Bowl"], 1.0, 1.0),  # the best of all gold answers
        ("Bowl", ["Bowl 50 L", "Super Bowl"], 0.0, 2 / 3),
        ("", ["Denver"], 0.0, 0.0),
    ],
)
@pytest.mark.parametrize("unanswerable", [False, True])
def test_an_answer_has_the_best_score_of_all_gold_answers(
    answer: str, golds: list[str], exact_match: float, f1: float, unanswerable: bool
) -> None:
    score = score_answer(answer, golds, unanswerable=unanswerable)
    assert score == pytest.approx(QuestionScore(exact_match, f1))


def test_the_two_scripts_differ_where_normalising_leaves_nothing() -> None:
    assert score_answer("The", ["the"], unanswerable=False) == (1, 0)
    assert score_answer("The", ["the"], unanswerable=True) == (1, 1)
    assert score_answer("", [], unanswerable=True) == (1, 1)
    assert score_answer("cat", [], unanswerable=True) == (0, 0)
    assert score_answer("", ["the", "cat"], unanswerable=True) == (0, 0)  # "the" does not count
    assert score_answer("", ["the", "cat"], unanswerable=False) == (1, 0)


def test_scores_are_means_in_percent() -> None:
    golds = {"1": ["Denver Broncos"], "2": ["50"], "3": ["gold"]}
    found = score_answers(golds, predicted({"1": "Denver", "2": "50", "3": "silver"}), threshold=NEVER)
    assert found == pytest.approx({"exact_match": 100 / 3, "f1": 100 * (2 / 3 + 1) / 3})


def test_a_threshold_decides_which_questions_are_answered() -> None:
    golds: dict[str, list[str]] = {"1": ["cat"], "2": ["big dog"], "3": [], "4": []}
    answers = predicted(dict.fromkeys(golds, "dog"), {"1": 0.9, "2": 0.2, "3": 0.6, "4": 0.5})
    # 1 is silent and wrong, 2 answers half right, 3 is silent and right, 4 answers and is wrong.
    assert score_answers(golds, answers, threshold=0.5) == pytest.approx(
        {
            "exact_match": 25,
            "f1": 100 * (2 / 3 + 1) / 4,
            "has_answer_exact_match": 0,
            "has_answer_f1": 100 / 3,
            "no_answer_exact_match": 50,
            "no_answer_f1": 50,
        }
    )


def test_the_best_threshold_is_that_of_the_last_question_worth_answering() -> None:
    golds: dict[str, list[str]] = {"1": ["cat"], "2": ["big dog"], "3": [], "4": [], "5": ["cat"]}
    texts = {"1": "cat", "2": "dog", "3": "cat", "4": "cat", "5": "cat"}
    answers = predicted(texts, {"1": 0.1, "2": 0.2, "3": 0.3, "4": 0.8, "5": 0.9})
    # Silence scores 2. One after the other answered: 3, 3 2/3, 2 2/3, 1 2/3, 2 2/3.
    best, threshold = best_threshold(golds, answers, metric="f1")
    assert (best, threshold) == (pytest.approx(100 * (11 / 3) / 5), 0.2)
    assert score_answers(golds, answers, threshold=threshold)["f1"] == pytest.approx(best)
    assert best_threshold(golds, answers, metric="exact_match") == (pytest.approx(60), 0.1)


def test_never_answering_may_be_best() -> None:
    assert best_threshold({"1": [], "2": []}, predicted({"1": "x", "2": "y"}), metric="f1") == (100, 0)


def test_no_probability_is_above_the_threshold_never() -> None:
    golds = {"1": ["cat"]}
    assert not has_unanswerable(golds)
    assert score_answers(golds, {"1": Prediction("cat", 1.0)}, threshold=NEVER)["f1"] == 100
