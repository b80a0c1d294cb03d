"""Scores of predicted labels against numbers worked by hand, and the two simple models."""

from __future__ import annotations

import json
from collections import Counter
from math import log
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tasks.text_classification.baselines import most_frequent_labels, naive_bayes_labels
from tasks.text_classification.model import label_weights, training_loss
from tasks.text_classification.reports import Results, answer, tables, write_reports
from tasks.text_classification.scores import (
    Decision,
    accuracy,
    confusion_matrix,
    label_scores,
    scores,
)

SINGLE, MULTI = Decision(False, 0.5), Decision(True, 0.5)
PNG = b"\x89PNG\r\n\x1a\n"


def one_hot(labels: list[int], num_labels: int) -> Tensor:
    return torch.nn.functional.one_hot(torch.tensor(labels), num_labels).bool()


def logits_of(probabilities: list[list[float]]) -> Tensor:
    """Logits whose softmax is these rows, which add up to 1."""
    return torch.tensor(probabilities).log()


def inverse_sigmoid(probabilities: list[list[float]]) -> Tensor:
    return torch.tensor(probabilities).logit()


def test_scores_of_one_label_are_those_worked_by_hand() -> None:
    # Right with 0.9 and 0.6, wrong with 0.7, right with 0.8; the label 2 is neither gold nor predicted.
    logits_NV = logits_of([[0.9, 0.1, 0.0], [0.4, 0.6, 0.0], [0.3, 0.7, 0.0], [0.8, 0.2, 0.0]])
    found = scores(logits_NV, one_hot([0, 1, 0, 0], 3), SINGLE)
    assert found["accuracy"] == 75.0
    assert found["loss"] == pytest.approx(-(log(0.9) + log(0.6) + log(0.3) + log(0.8)) / 4)
    assert found["macro_f1"] == pytest.approx(100 * (2 * 2 / (2 * 2 + 1) + 2 * 1 / (2 * 1 + 1)) / 2)
    # Fifteen bins of 1/15: 0.6 and 0.7, 0.8 and 0.9 are in four different ones.
    assert found["calibration_error"] == pytest.approx(100 * (0.1 + 0.4 + 0.7 + 0.2) / 4)


def test_scores_of_several_labels_are_those_worked_by_hand() -> None:
    logits_NV = inverse_sigmoid([[0.9, 0.2, 0.6], [0.4, 0.7, 0.1]])
    gold_NV = torch.tensor([[True, False, False], [True, True, False]])
    found = scores(logits_NV, gold_NV, MULTI)
    assert found["accuracy"] == 0.0  # either text has one label wrong
    losses = [0.9, 0.8, 0.4, 0.4, 0.7, 0.9]
    assert found["loss"] == pytest.approx(-sum(map(log, losses)) / 6, rel=1e-5)
    assert found["macro_f1"] == pytest.approx(100 * (2 / 3 + 1 + 0) / 3)
    assert found["micro_f1"] == pytest.approx(100 * 2 * 2 / (2 * 2 + 1 + 1))
    assert found["calibration_error"] == pytest.approx(190 / 6, abs=1e-4)


@pytest.mark.parametrize("num_labels", [2, 5])
def test_scores_of_many_texts_are_numpys(num_labels: int) -> None:
    generator = np.random.default_rng(1)
    logits_NV = torch.from_numpy(generator.normal(size=(500, num_labels)) * 2)
    gold_N = generator.integers(num_labels, size=500)
    found = scores(logits_NV, one_hot(gold_N.tolist(), num_labels), SINGLE)

    exponents = np.exp(logits_NV.numpy())
    probabilities_NV = exponents / exponents.sum(axis=1, keepdims=True)
    predicted_N, confidences_N = probabilities_NV.argmax(axis=1), probabilities_NV.max(axis=1)
    assert found["accuracy"] == pytest.approx(100 * np.mean(predicted_N == gold_N))
    f1 = [
        2 * np.sum((predicted_N == v) & (gold_N == v)) / (np.sum(predicted_N == v) + np.sum(gold_N == v))
        for v in range(num_labels)
    ]
    assert found["macro_f1"] == pytest.approx(100 * np.mean(f1), abs=1e-4)
    bins_N = np.ceil(confidences_N * 15)
    gaps = [
        np.mean(bins_N == b)
        * abs(np.mean((predicted_N == gold_N)[bins_N == b]) - np.mean(confidences_N[bins_N == b]))
        for b in set(bins_N)
    ]
    assert found["calibration_error"] == pytest.approx(100 * np.sum(gaps), abs=1e-4)


def test_the_training_loss_is_weighted_and_smoothed() -> None:
    logits_NV, gold_NV = logits_of([[0.8, 0.2], [0.4, 0.6]]), one_hot([0, 1], 2)

    def loss(weights: list[float] | None = None, label_smoothing: float = 0.0) -> float:
        weights_V = None if weights is None else torch.tensor(weights)
        return float(
            training_loss(
                logits_NV,
                gold_NV,
                multi_label=False,
                weights_V=weights_V,
                label_smoothing=label_smoothing,
            )
        )

    assert loss() == pytest.approx(-(log(0.8) + log(0.6)) / 2)
    assert loss(weights=[3.0, 1.0]) == pytest.approx(-(3 * log(0.8) + log(0.6)) / 4)
    smoothed = -(0.9 * log(0.8) + 0.1 * log(0.2) + 0.1 * log(0.4) + 0.9 * log(0.6)) / 2
    assert loss(label_smoothing=0.2) == pytest.approx(smoothed)


def test_the_training_loss_of_several_labels_is_that_of_each_by_itself() -> None:
    loss = training_loss(
        inverse_sigmoid([[0.8, 0.4]]),
        torch.tensor([[True, False]]),
        multi_label=True,
        weights_V=torch.tensor([3.0, 5.0]),
        label_smoothing=0.2,
    )
    expected = 0.9 * 3 * log(0.8) + 0.1 * log(0.2) + 0.1 * 5 * log(0.4) + 0.9 * log(0.6)
    assert float(loss) == pytest.approx(-expected / 2)


def test_weights_balance_the_labels() -> None:
    gold_NV = one_hot([0, 0, 0, 1], 2)
    assert label_weights(gold_NV, multi_label=False).tolist() == [pytest.approx(4 / 6), 2.0]
    gold_NV = torch.tensor([[True, False], [True, True], [True, False], [False, False]])
    assert label_weights(gold_NV, multi_label=True).tolist() == [pytest.approx(1 / 3), 3.0]


def test_the_confusion_matrix_has_gold_labels_in_rows() -> None:
    matrix = confusion_matrix(one_hot([1, 1, 0], 2), one_hot([0, 0, 0], 2))
    assert matrix.tolist() == [[1, 2], [0, 0]]


def test_the_scores_of_a_label_are_its_own() -> None:
    predicted_NV = one_hot([0, 0, 1, 2], 4)
    columns, rows = label_scores(predicted_NV, one_hot([0, 1, 1, 0], 4), ["a", "b", "c", "d"])
    assert columns == ["label", "precision", "recall", "f1", "texts"]
    assert rows == [
        ["a", 50.0, 50.0, 50.0, 2],
        ["b", 100.0, 50.0, pytest.approx(200 / 3), 2],
        ["c", 0.0, 0.0, 0.0, 0],
        ["d", 0.0, 0.0, 0.0, 0],
    ]


def test_the_most_frequent_labels_are_found_together() -> None:
    gold_NV = torch.tensor([[True, False], [True, True], [False, True], [True, True]])
    assert most_frequent_labels(gold_NV).tolist() == [True, True]
    assert accuracy(most_frequent_labels(gold_NV).expand(4, 2), gold_NV) == 50.0


def test_naive_bayes_multiplies_smoothed_shares_of_words() -> None:
    train = [text.split() for text in ("good good film", "bad film", "bad bad plot")]
    gold = [1, 0, 0]
    texts = [text.split() for text in ("good plot", "film", "unseen words", "plot plot good", "")]
    found = naive_bayes_labels(train, one_hot(gold, 2), texts, multi_label=False)

    counts = {
        c: Counter(w for t, label in zip(train, gold, strict=True) if label == c for w in t) for c in (0, 1)
    }

    def log_probability(text: list[str], label: int) -> float:
        total = counts[label].total() + 4  # good, film, bad, plot
        words = [w for w in text if w != "unseen" and w != "words"]
        return log(gold.count(label) / 3) + sum(log((counts[label][w] + 1) / total) for w in words)

    expected = [int(log_probability(text, 1) > log_probability(text, 0)) for text in texts]
    assert expected == [1, 0, 0, 0, 0]
    assert found.long().argmax(dim=1).tolist() == expected


def test_naive_bayes_of_several_labels_asks_for_each_by_itself() -> None:
    train = [["wet"], ["wet", "cold"], ["cold"], ["dry"], ["dry"]]
    gold_NV = torch.tensor([[1, 0], [1, 1], [0, 1], [0, 0], [0, 0]]).bool()
    found = naive_bayes_labels(train, gold_NV, [["wet", "cold"], ["dry"]], multi_label=True)
    assert found.tolist() == [[True, True], [False, False]]


def test_an_answer_names_the_label_or_all_that_reach_the_threshold() -> None:
    single = answer(logits_of([[0.25, 0.75]])[0], ["no", "yes"], SINGLE)
    assert (single["label"], single["probability"]) == ("yes", pytest.approx(0.75))
    assert single["probabilities"] == {"no": pytest.approx(0.25), "yes": pytest.approx(0.75)}
    logits_V = inverse_sigmoid([[0.4, 0.6]])[0]
    assert answer(logits_V, ["a", "b"], MULTI)["labels"] == ["b"]
    assert answer(logits_V, ["a", "b"], Decision(True, 0.3))["labels"] == ["a", "b"]
    assert answer(logits_V, ["a", "b"], Decision(True, 0.9))["labels"] == []


def test_reports_are_a_line_for_each_text_a_score_for_each_label_and_a_picture(tmp_path: Path) -> None:
    logits_NV = logits_of([[0.75, 0.25], [0.5, 0.5]])
    results = Results(
        ["t:1", "t:2"], ["one $5", "na\u00efve \u65e5"], ["$5", "ja"], logits_NV, one_hot([0, 1], 2), SINGLE
    )
    write_reports(tmp_path, results, "test")
    written = (tmp_path / "predictions/test.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in written.splitlines()]
    assert [(line["name"], line["text"], line["gold"], line["label"]) for line in lines] == [
        ("t:1", "one $5", "$5", "$5"),
        ("t:2", "na\u00efve \u65e5", "ja", "$5"),
    ]
    assert "na\u00efve \u65e5" in written
    report = json.loads((tmp_path / "predictions/test_labels.json").read_text())
    assert report["$5"] == {"precision": 50.0, "recall": 100.0, "f1": pytest.approx(200 / 3), "texts": 1}
    assert (tmp_path / "plots/confusion.png").read_bytes().startswith(PNG)
    columns, rows = tables(results, "test")["test/confusion"]
    assert columns == ["gold", "predicted $5", "predicted ja"]
    assert rows == [["$5", 1, 0], ["ja", 1, 0]]


def test_texts_of_several_labels_have_no_confusion_matrix(tmp_path: Path) -> None:
    gold_NV = torch.tensor([[True, True], [False, False]])
    results = Results(
        ["t:1", "t:2"], ["one", "two"], ["a", "b"], inverse_sigmoid([[0.9, 0.4], [0.1, 0.6]]), gold_NV, MULTI
    )
    write_reports(tmp_path, results, "test")
    lines = [json.loads(line) for line in (tmp_path / "predictions/test.jsonl").read_text().splitlines()]
    assert [(line["gold"], line["labels"]) for line in lines] == [(["a", "b"], ["a"]), ([], ["b"])]
    assert not (tmp_path / "plots").exists()
    assert tables(results, "test").keys() == {"test/labels"}
