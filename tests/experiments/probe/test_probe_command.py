"""The command: both probes from files to tables, pictures and the record, and what it refuses."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from elmo.bilm.char_cnn_lstm import CharCnnLstm
from elmo.io.model_directory import save_model
from experiments.config.command import run_command
from experiments.probe.__main__ import main

SIZES = {
    "character_embedding_size": 3,
    "filters": [[1, 2], [2, 3]],
    "num_highways": 1,
    "activation": "relu",
    "cell_size": 6,
    "projection_size": 4,
    "num_layers": 1,
    "cell_clip": 3.0,
    "projection_clip": 3.0,
    "skip_connected": True,
    "dropout": 0.1,
}
QUICK = ["probe.num_seeds=2", "probe.l2=[0.0,0.01]", "probe.num_steps=30", "probe.num_evaluations=3"]
TAGGED = ["data=tagged_files", "data.scheme=none", "data.train=train.conll", "data.dev=dev.conll"]
TAGS = [*QUICK, *TAGGED, "data.test=test.conll"]
SENSES = ["probe=senses", "data.files=senses.tsv", "probe.num_folds=3"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models, tagged sentences and sentences with senses."""
    path = tmp_path_factory.mktemp("probe")
    for seed, name in enumerate(("model", "other")):
        torch.manual_seed(seed)
        encoder = CharCnnLstm(**SIZES)  # type: ignore[arg-type]
        config = {"encoder": {"type": "char_cnn_lstm", **SIZES}}
        save_model(path / name, config=config, model=nn.ModuleDict({"encoder": encoder}), vocabulary=None)
    generator = random.Random(1)
    words = {"cat": "N", "dog": "N", "runs": "V", "sits": "V", "the": "D"}
    for name, number in (("train", 40), ("dev", 10), ("test", 12)):
        chosen = [generator.choices(sorted(words), k=5) for _ in range(number)]
        lines = ["".join(f"{word} {words[word]}\n" for word in sentence) for sentence in chosen]
        (path / f"{name}.conll").write_text("\n".join(lines))
    text = ""
    for document in range(6):
        text += f"# d{document}\n"
        for _ in range(4):
            sense = generator.choice(("play.1", "play.2"))
            text += f"the\t\t\t\nplay\tplay\tVERB\t{sense}\n{generator.choice('abc')}\t\t\t\n\n"
    (path / "senses.tsv").write_text(text)
    (path / "empty.conll").write_text("\n\n")
    (path / "ragged.conll").write_text("cat N\ndog\n")
    return path


@pytest.fixture
def run(place: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    monkeypatch.chdir(place)
    common = ["cache_dir=cache", "progress=none", "device=cpu"]
    return lambda *arguments: run_command(main, config_name="probe", arguments=[*arguments, *common])


def test_tags_are_probed_for_several_models_and_repeat_exactly(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*TAGS, "models=[model,other]", "output=tags") == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0] == "Scores in percent with 95 % intervals (bootstrap over test sentences)"
    assert "train words: 200, dev words: 50, test words: 60, tags: 3" in printed
    assert (
        "Differences of accuracy in points" in printed and "Differences of selectivity in points" in printed
    )

    files = {path.name for path in Path("tags").iterdir()}
    expected = {f"results.{kind}" for kind in ("md", "csv", "tex", "json")}
    assert files == expected | {"scores_by_layer.png", "scores_by_layer.pdf"}
    rows = list(csv.DictReader(Path("tags/results.csv").read_text().splitlines()))
    names = ["layer 0", "layer 1", "all layers", "mix", "most frequent tag"]
    assert [(row["model"], row["view"]) for row in rows] == [
        (model, name) for model in ("model", "other") for name in names
    ]
    assert all(float(row["accuracy low"]) <= float(row["accuracy"]) for row in rows)
    assert rows[-1]["accuracy"] == "100.0"  # a word has one tag
    record = json.loads(Path("tags/results.json").read_text())
    assert record["probe"]["num_steps"] == 30 and record["data"]["type"] == "tagged_files"
    assert set(record["environment"]["data_fingerprints"]) == {"train", "dev", "test"}
    first, second = record["models"]
    assert first["fingerprint"] != second["fingerprint"]
    assert len(first["views"][0]["scores"]["accuracy"]["seeds"]) == 2
    assert len(first["views"][3]["layer weights"]) == 2
    assert "booktabs" in Path("tags/results.tex").read_text()

    assert run(*TAGS, "model=model", "output=again") == 0
    (again,) = json.loads(Path("again/results.json").read_text())["models"]
    assert again == first


def test_senses_are_probed_over_folds_of_documents(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*SENSES, "model=model", "output=senses") == 0
    printed = capsys.readouterr().out
    assert "bootstrap over documents" in printed
    assert "documents: 6, words with a sense: 24, lemmas: 1, senses: 2" in printed
    (found,) = json.loads(Path("senses/results.json").read_text())["models"]
    assert [view["view"] for view in found["views"]] == [
        "layer 0",
        "layer 1",
        "average",
        "most frequent sense",
    ]
    for view in found["views"]:
        assert set(view["scores"]) == {"accuracy", "ambiguous", "VERB"}
    assert Path("senses/scores_by_layer.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (TAGS, "model: missing; give a value, such as model=runs/NAME, or models=["),
        ([*TAGS, "model=model", "models=[other]"], "models: give one of model=DIR and models=[...]"),
        ([*TAGS, "models=[model,model]"], "models: a model is given twice"),
        (
            [*TAGS, "models=[model]", "weights=w.hdf5"],
            "weights: belongs to an options.json; give model=OPTIONS",
        ),
        ([*TAGS, "model=nowhere"], "nowhere: no such directory and no published model"),
        ([*TAGS, "model=model", "output=train.conll"], "output: train.conll is a file; give a directory"),
        ([*TAGGED, "model=model", "data.test=empty.conll"], "data.test: there is no text in it"),
        ([*TAGGED, "model=model", "data.test=ragged.conll"], "ragged.conll:2: 1 column, but"),
        ([*QUICK, "data=trec", "model=model"], "data: probe=tags needs a tag for each word"),
        (["probe=senses", "data=ewt", "model=model"], "data: probe=senses needs words with their senses"),
        (["probe=senses", "model=model"], "data.files: missing; give a path or a glob"),
        ([*SENSES, "model=model", "probe.num_folds=7"], "data: 6 documents with senses, fewer than"),
        ([*SENSES, "model=model", "probe.num_folds=1"], "probe.num_folds: expected at least 2"),
        ([*TAGS, "model=model", "dtype=float32", "max_gigabytes=1e-9"], "max_gigabytes: 1e-09 is too little"),
    ],
)
def test_bad_input_is_one_line(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str], arguments: list[str], fault: str
) -> None:
    assert run(*arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert fault in line
