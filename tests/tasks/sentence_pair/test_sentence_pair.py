"""Pairs of sentences: training, labels and scores, reports, saving, predictions, on some dozens of pairs."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from supervised_data import BOTH, SupervisedData, train

from elmo.errors import InputError
from tasks.sentence_pair.model import SentencePairTraining, outputs_of
from tasks.sentence_pair.reports import score_table
from tasks.sources.shared.split import SPLITS

Row = tuple[str, str, str, float]  # first, second, label, score

SIAMESE = {"type": "siamese", "hidden_size": None, "pooling": ["mean"], "linear_size": 8, "dropout": 0.0}
TASK: dict[str, Any] = {"max_words": 12, "injection": "input", "word_dropout": 0.0, "dropout": 0.0}


def make_rows(number: int, seed: int) -> list[Row]:
    """Pairs of 1 to 8 words; the same weather on both sides is `same` and scores 5, other weather 1."""
    generator = random.Random(seed)

    def side(weather: str) -> str:
        words = generator.choices(["the", "day", "of", "trees"], k=generator.randint(0, 7))
        words.insert(generator.randint(0, len(words)), weather)
        return " ".join(words)

    weathers = [("sun", "sun"), ("sun", "rain"), ("rain", "rain"), ("rain", "sun")]
    rows = []
    for index in range(number):
        first, second = weathers[index % 4]
        is_same = first == second
        rows.append((side(first), side(second), "same" if is_same else "other", 5.0 if is_same else 1.0))
    return rows


class Data(SupervisedData[SentencePairTraining]):
    """Csv files of the three splits, and what is made of them."""

    def __init__(self, path: Path, splits: Sequence[Sequence[Row]] | None = None, **options: Any) -> None:
        rows = splits or [make_rows(48, 1), make_rows(12, 2), make_rows(16, 3)]
        files = {split: str(path / f"{split}.csv") for split in SPLITS}
        for file, split in zip(files.values(), rows, strict=True):
            with open(file, "w", encoding="utf-8", newline="") as stream:
                csv.writer(stream).writerows([("a", "b", "label", "score"), *split])
        columns = {"first_column": "a", "second_column": "b"}
        task = {"type": "sentence_pair", **TASK}
        super().__init__(path, {"type": "pair_files", **columns, **files, **options}, task=task, head=SIAMESE)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return Data(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="module")
def scored_data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return Data(tmp_path_factory.mktemp("scored"), target="score")


@pytest.fixture(scope="module")
def trained(data: Data) -> SentencePairTraining:
    training = train(data.start(), 150, learning_rate=0.02)
    training.reports.save_model(data.path / "model")
    return training


@pytest.fixture(scope="module")
def scored(scored_data: Data) -> SentencePairTraining:
    training = train(scored_data.start(), 200, learning_rate=0.02)
    training.reports.save_model(scored_data.path / "model")
    return training


def test_it_learns_which_pairs_agree_and_tells_what_simple_rules_do(trained: SentencePairTraining) -> None:
    assert trained.evaluate()["dev/accuracy"] == 100.0
    figures = trained.reports.conclude()
    assert figures["test/accuracy"] == figures["test/macro_f1"] == 100.0
    assert figures["test/majority_accuracy"] == 50.0
    assert figures["test/second_side_accuracy"] < 80.0  # the second side alone says nothing
    columns, rows = score_table({**trained.evaluate(), **figures})
    assert columns == ["percent", "accuracy", "macro F1", "calibration error"]
    assert [row[:2] for row in rows[:2]] == [["dev", 100.0], ["test", 100.0]]
    assert [row[0] for row in rows[2:]] == [
        "dev, most frequent label",
        "test, most frequent label",
        "dev, naive Bayes on second sides",
        "test, naive Bayes on second sides",
        "dev, words in common",
        "test, words in common",
    ]


def test_it_learns_scores_on_the_scale_of_the_data(scored: SentencePairTraining) -> None:
    figures = scored.reports.conclude()
    assert figures["test/pearson"] > 80
    assert figures["test/spearman"] > 70
    assert figures["test/mean_squared_error"] < 3  # the variance is 4
    assert figures["test/overlap_pearson"] > 30
    columns, rows = score_table({**scored.evaluate(), **figures})
    assert columns[1:] == ["Pearson", "Spearman", "squared error, no percent"]
    assert rows[1][3] == f"{figures['test/mean_squared_error']:.3f}"
    assert rows[-1][0] == "test, words in common"


def test_esim_learns_its_pairs_with_vectors_of_a_bilm_at_both_places(tmp_path: Path) -> None:
    esim = {"type": "esim", "hidden_size": 8, "dropout": 0.0}
    stored = {"cached": True, "max_gigabytes": 1.0, "dtype": "float32"}
    data = Data(tmp_path, [make_rows(16, 1)] * 3)
    training = data.start(encoder=BOTH, head=esim, task={"injection": "both"}, features=stored)
    assert train(training, 50, learning_rate=0.02).evaluate()["dev/accuracy"] == 100.0
    assert {"mix/elmo/input/gamma", "mix/elmo/output/gamma"} <= training.reports.conclude().keys()


def test_a_side_that_occurs_again_is_stored_once_and_stored_vectors_give_the_same_outputs(
    tmp_path: Path,
) -> None:
    rows = make_rows(12, 4)
    rows += [(first, "the other", label, score) for first, _, label, score in rows]
    data = Data(tmp_path, [rows, rows, rows], fraction=0.5)
    stored = {"cached": True, "max_gigabytes": 1.0, "dtype": "float32"}
    running, cached = data.start(encoder=BOTH), data.start(encoder=BOTH, features=stored)
    dev = cached.examples["dev"]
    distinct = {side for first, second, *_ in rows for side in (first, second)}
    assert len(dev.windows) == len(distinct)
    assert len(dev.stores["elmo"].vectors_NLP) == sum(len(side.split()) for side in distinct)
    assert len(cached.examples["train"]) == 12
    assert len(cached.examples["train"].stores["elmo"].vectors_NLP) == len(dev.stores["elmo"].vectors_NLP)
    for split in ("train", "dev"):
        outputs = [outputs_of(t.model, t.examples[split], batch_size=5) for t in (running, cached)]  # type: ignore[index]
        torch.testing.assert_close(*outputs, rtol=1e-5, atol=1e-6)


def test_other_pairs_in_a_batch_change_nothing(trained: SentencePairTraining) -> None:
    examples = trained.examples["test"]
    together = outputs_of(trained.model, examples, batch_size=16)
    torch.testing.assert_close(
        outputs_of(trained.model, examples, batch_size=1), together, rtol=1e-5, atol=1e-6
    )


def test_an_epoch_has_every_pair_once(data: Data) -> None:
    training = data.start()
    batches = training.batches()
    names = [name for _ in range(6) for name in next(batches).names]
    assert sorted(names) == sorted(training.examples["train"].names)


def test_reports_are_written_of_every_pair(
    trained: SentencePairTraining, scored: SentencePairTraining, tmp_path: Path
) -> None:
    for training, key in ((trained, "accuracy"), (scored, "mean_squared_error")):
        figures = training.reports.conclude()
        training.reports.write_reports(tmp_path / key)
        lines = (tmp_path / key / "predictions" / "test.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        target = 2 if key == "accuracy" else 3
        assert [(row["first"], row["second"], row["gold"]) for row in rows] == [
            (row[0], row[1], row[target]) for row in make_rows(16, 3)
        ]
        each = json.loads((tmp_path / key / "predictions" / "test_scores.json").read_text())
        assert sum(each["scores"][key]) / 16 == pytest.approx(figures[f"test/{key}"])
    assert (tmp_path / "accuracy" / "plots" / "confusion.png").stat().st_size > 1000
    assert (tmp_path / "mean_squared_error" / "plots" / "scores.png").stat().st_size > 1000
    assert trained.reports.tables()["test/confusion"][1] == [["other", 8, 0], ["same", 0, 8]]
    assert scored.reports.tables() == {}


@pytest.mark.parametrize("name", ["trained", "scored"])
def test_a_saved_model_of_pairs_has_the_scores_and_answers_of_the_trained_one(
    name: str, request: pytest.FixtureRequest
) -> None:
    training: SentencePairTraining = request.getfixturevalue(name)
    data: Data = request.getfixturevalue("data" if name == "trained" else "scored_data")
    task, saved, setup = data.load(data.path / "model")
    figures = training.reports.conclude()
    of_test = {key: value for key, value in figures.items() if key.startswith("test/")}
    found = task.evaluate(saved, setup, with_baselines=True, name="model")
    assert found == pytest.approx(of_test, abs=1e-5)

    predictor = data.load_predictor(data.path / "model")
    inputs = [predictor.read({"id": i, "a": row[0], "b": row[1]}) for i, row in enumerate(make_rows(16, 3))]
    said = predictor.predict(inputs)
    outputs_NK = outputs_of(training.model, training.examples["test"], batch_size=4)
    assert [row["id"] for row in said] == list(range(16))
    if name == "scored":
        expected = training.target.scores(outputs_NK, training.examples["test"].gold_N)
        squares = [(row["score"] - gold[3]) ** 2 for row, gold in zip(said, make_rows(16, 3), strict=True)]
        assert sum(squares) / 16 == pytest.approx(expected["mean_squared_error"], rel=1e-4)
    else:
        assert [row["label"] for row in said] == [row[2] for row in make_rows(16, 3)]
        assert said[0]["probability"] == max(said[0]["probabilities"].values())


def test_a_record_has_the_columns_of_training_or_first_and_second(
    trained: SentencePairTraining, data: Data
) -> None:
    predictor = data.load_predictor(data.path / "model")
    by_column = predictor.read({"a": "the sun", "b": "rain", "id": 7})
    assert by_column == (7, "the sun", "rain")
    assert predictor.read({"first": "the sun", "second": "rain"})[1:] == by_column[1:]
    assert predictor.predict([]) == []
    for record, message in (
        ({"first": "x"}, r"no column 'a' \(data\.first_column\), only first"),
        ({"a": "x", "b": " "}, "b: empty text"),
        ({"first": "x", "second": 3}, "column 'second' contains 3, which is not text"),
    ):
        with pytest.raises(InputError, match=message):
            predictor.read(record)


def test_a_label_of_dev_or_test_alone_is_told_and_counted_as_wrong(tmp_path: Path) -> None:
    odd: Row = ("sun", "sun", "unheard", 5.0)
    data = Data(tmp_path, [make_rows(16, 1), make_rows(12, 2), [*make_rows(12, 3), odd, odd, odd, odd]])
    training = train(data.start(), 60, learning_rate=0.02)
    facts = training.reports.facts()
    assert facts["test labels without a training pair"] == "'unheard' (4 pairs), counted as wrong"
    assert "dev labels without a training pair" not in facts
    figures = training.reports.conclude()
    assert figures["test/accuracy"] <= 75.0
    assert figures["test/majority_accuracy"] == 37.5
    assert figures["test/loss"] == pytest.approx(
        training.target.scores(
            outputs_of(training.model, training.examples["test"], batch_size=8)[:12],
            training.examples["test"].gold_N[:12],
        )["loss"]
    )
    training.reports.write_reports(tmp_path)
    assert json.loads((tmp_path / "predictions/test.jsonl").read_text().splitlines()[-1])["gold"] == "unheard"


def test_a_very_long_side_is_cut_with_a_notice(tmp_path: Path) -> None:
    long: Row = ("sun " * 10_000, "rain\nrain", "other", 1.0)
    data = Data(tmp_path, [[*make_rows(8, 1), long], make_rows(4, 2), make_rows(4, 3)])
    training = data.start()
    assert max(training.examples["train"].lengths()) == TASK["max_words"]
    assert training.reports.facts()["train sides truncated"] == "1 of distinct ones"
    assert [["rain"], ["rain"]] in training.examples["train"].windows


@pytest.mark.parametrize(
    ("splits", "options", "changes", "message"),
    [
        ([[("a", "b", "x", 1.0)] * 3] * 3, {}, {}, "only the label 'x'; a classifier needs at least two"),
        (
            [[("a", "b", "x", 2.0)] * 3] * 3,
            {"target": "score"},
            {},
            "all training pairs have the score 2; there is nothing to learn",
        ),
        (None, {}, {"metric": "dev/pearson"}, r"no score 'dev/pearson' .*; task=sentence_pair has one"),
        (None, {"target": "score"}, {"metric": "dev/accuracy"}, "task=relatedness has one"),
        (None, {}, {"head": {"type": "pooled"}}, "pooled is not a head for pairs of sentences"),
        (None, {"first_column": "x"}, {}, r"no column 'x' \(data\.first_column\), only a, b, label, score"),
    ],
)
def test_what_cannot_be_learned_is_refused(
    tmp_path: Path, splits: Any, options: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Data(tmp_path, splits, **options).start(**changes)


def test_a_model_of_labels_is_not_scored_on_scores(
    trained: SentencePairTraining, data: Data, scored_data: Data
) -> None:
    task, saved, setup = data.load(data.path / "model")
    setup = replace(setup, nodes={**setup.nodes, "data": scored_data.node})
    with pytest.raises(InputError, match=r"data\.target: score, but the model of model predicts the other"):
        task.evaluate(saved, setup, with_baselines=False, name="model")
