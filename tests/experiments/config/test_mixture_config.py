"""A mixture's config: its parts by the names of their options, repeated from another working directory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_runs import arguments_of, write_data

from experiments import train
from experiments.config.command import run_command
from experiments.config.save import read_saved

LANGUAGE_MODEL = "language_model, sentences, adaptive"
PARTS = [
    "data=english",
    "data.split_every=3",
    "data.parts.sotu=null",
    "~data.parts.bbc",
    "data.parts.imdb=null",
    "+data@data.parts.own=text",
    "data.parts.own.train=train_text.txt",
    "+data@data.parts.task=labelled_files",
    "data.parts.task.train=train.csv",
    "+data@data.excluded.task=labelled_files",
    "data.excluded.task.train=train.csv",
]


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train_with(directory: Path, *overrides: str) -> int:
    own = arguments_of(LANGUAGE_MODEL, directory / "run", write_data(directory))
    own = [text for text in own if not text.startswith("data")]
    return run_command(train.main, config_name="train", arguments=[*own, *PARTS, *overrides])


def test_a_run_goes_on_from_another_directory_with_the_parts_that_it_had(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train_with(directory, "trainer.max_steps=2", "data.parts.own.fraction=0.5") == 0
    figures = json.loads((directory / "run" / "metrics.json").read_text())
    assert figures["facts/train_fraction_of_data.parts.own"] == 50
    (start,) = json.loads((directory / "run" / "environment.json").read_text())["starts"]
    assert list(start["files"]) == [
        "data.parts.own.train",
        "data.parts.task.train",
        "data.excluded.task.train",
    ]
    saved = read_saved(directory / "run" / "config.yaml")
    assert saved.values["data"]["parts"]["own"]["train"] == str(directory / "train_text.txt")
    assert "bbc" not in saved.values["data"]["parts"] and saved.choices is not None
    assert not any("@" in group for group in saved.choices)
    (directory / "elsewhere").mkdir()
    monkeypatch.chdir(directory / "elsewhere")
    arguments = [f"resume={directory / 'run'}", "trainer.max_steps=3"]
    assert run_command(train.main, config_name="train", arguments=arguments) == 0
    starts = json.loads((directory / "run" / "environment.json").read_text())["starts"]
    assert starts[0]["data_fingerprints"] == starts[1]["data_fingerprints"]


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["data.parts.own.train=none.txt"], "data.parts.own.train: no such file: none.txt"),
        (["data.parts.own.language=xx"], "data.parts.own.language: unknown language 'xx'"),
        (["data.parts.own.split_every=2"], "data.parts.own.split_every: 2 must be 3 or more"),
        (["data.excluded.task.train=none.csv"], "data.excluded.task.train: no such file: none.csv"),
        (["data.parts.own=null", "data.parts.task=null"], "data.parts: none is given"),
    ],
)
def test_faults_of_parts_are_told_before_anything_is_written(
    directory: Path, overrides: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_with(directory, *overrides) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and said[0].startswith(line)
    assert not (directory / "run" / "checkpoints").exists()
