"""Predictions of the tables that a run was trained on, by its own columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import COMMON

from experiments import predict, train
from experiments.config.command import run_command


def predicted(source: str, *, exit_code: int = 0) -> list[dict[str, Any]]:
    """The rows of what the run `trained` predicts for a file."""
    output = Path(f"{source}.out")
    arguments = ["run=trained", f"input={source}", f"output={output}", "progress=none"]
    assert run_command(predict.main, config_name="predict", arguments=arguments) == exit_code
    return [json.loads(line) for line in output.read_text().splitlines()]


def test_a_run_predicts_the_tables_that_it_was_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    texts = [(f"good sun {i}", label) for i in range(20) for label in ("yes", "no")]
    lines = [f"n{number};{title};bright;{label}" for number, (title, label) in enumerate(texts)]
    Path("train.csv").write_text("\n".join(["name;title;body;label", *lines]) + "\n")
    columns = ["text_column=title", "second_text_column=body", "id_column=name", "delimiter=';'"]
    arguments = ["task=text_classification", "data=labelled_files", "data.train=train.csv", "encoder=word"]
    arguments += [f"data.{column}" for column in columns]
    arguments += [*COMMON, "trainer.max_steps=1", "cache_dir=cache", "output_dir=trained"]
    assert run_command(train.main, config_name="train", arguments=arguments) == 0
    answers = predicted("train.csv")
    assert [(row["line"], row["id"]) for row in answers[:2]] == [(2, "n0"), (3, "n1")]
    assert len(answers) == 40
    Path("new.txt").write_text('{"title": "good sun 0", "body": "bright"}\n{"text": "good sun 0\\nbright"}\n')
    for row in predicted("new.txt"):
        assert row["probabilities"] == pytest.approx(answers[0]["probabilities"])
    capsys.readouterr()
    Path("new.jsonl").write_text('{"title": "good sun 0"}\n')
    (row,) = predicted("new.jsonl", exit_code=1)
    assert row["error"] == "no column 'body' (data.second_text_column), only title"
    Path("other.csv").write_text("a;b\n1;2\n")
    arguments = ["run=trained", "input=other.csv"]
    assert run_command(predict.main, config_name="predict", arguments=arguments) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "other.csv:1: no column 'title' (data.text_column), only a, b"
    )


def test_a_run_predicts_the_tables_of_pairs_that_it_was_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [f"n{i};good sun {i};{'sun' if i % 2 else 'rain'};{i % 2}.5" for i in range(40)]
    Path("train.csv").write_text("\n".join(["name;one;other;like", *lines]) + "\n")
    columns = ["first_column=one", "second_column=other", "id_column=name", "delimiter=';'"]
    columns += ["target=score", "score_column=like"]
    arguments = ["task=relatedness", "data=pair_files", "data.train=train.csv", "head=siamese"]
    arguments += [f"data.{column}" for column in columns]
    arguments += [*COMMON, "trainer.max_steps=1", "cache_dir=cache", "output_dir=trained"]
    assert run_command(train.main, config_name="train", arguments=arguments) == 0
    answers = predicted("train.csv")
    assert [(row["line"], row["id"]) for row in answers[:2]] == [(2, "n0"), (3, "n1")]
    Path("new.txt").write_text(
        '{"one": "good sun 0", "other": "rain"}\n{"first": "good sun 0", "second": "rain"}\n'
    )
    for row in predicted("new.txt"):
        assert row["score"] == pytest.approx(answers[0]["score"])
    Path("other.csv").write_text("first;second\ngood sun 0;rain\n")
    assert predicted("other.csv")[0]["score"] == pytest.approx(answers[0]["score"])
    capsys.readouterr()
    Path("new.jsonl").write_text('{"one": "good sun 0"}\n{"one": "good", "other": " "}\n')
    assert [row["error"] for row in predicted("new.jsonl", exit_code=1)] == [
        "no column 'other' (data.second_column), only one",
        "other: empty text",
    ]
    Path("bad.csv").write_text("one;b\n1;2\n")
    assert run_command(predict.main, config_name="predict", arguments=["run=trained", "input=bad.csv"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "bad.csv:1: no column 'other' (data.second_column), only one, b"
    )
