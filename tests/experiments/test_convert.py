"""Converting by the command: official files to a model directory and back, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from elmo.bilm.char_cnn_lstm import CharCnnLstm
from elmo.bilm.word_lstm import WordLstm
from elmo.errors import InputError
from elmo.io.model_directory import read_bilm, read_model, save_model
from elmo.io.official import read_official, write_official
from elmo.text.vocabulary import Vocabulary
from experiments.config.command import run_command
from experiments.convert import main

SIZES = {
    "character_embedding_size": 3,
    "filters": [[1, 2], [2, 3]],
    "num_highways": 1,
    "activation": "tanh",
    "cell_size": 6,
    "projection_size": 4,
    "num_layers": 2,
    "cell_clip": 2.5,
    "projection_clip": None,
    "skip_connected": False,
    "dropout": 0.2,
}


@pytest.fixture(autouse=True)
def in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def encoder() -> CharCnnLstm:
    torch.manual_seed(0)
    return CharCnnLstm(**SIZES)  # type: ignore[arg-type]


@pytest.fixture
def official(encoder: CharCnnLstm) -> CharCnnLstm:
    """The encoder, which also lies in options.json and weights.hdf5."""
    write_official(encoder, Path("options.json"), Path("weights.hdf5"))
    return encoder


def convert(**arguments: str) -> int:
    return run_command(main, config_name="convert", arguments=[f"{k}={v}" for k, v in arguments.items()])


def assert_same(left: nn.Module, right: nn.Module) -> None:
    assert left.state_dict().keys() == right.state_dict().keys()
    for name, value in left.state_dict().items():
        assert torch.equal(value, right.state_dict()[name]), name


def test_there_and_back_changes_nothing(official: CharCnnLstm, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(to="model", options="options.json", weights="weights.hdf5", model="a/model") == 0
    assert capsys.readouterr().out == "a/model: 1,856 parameters, 2 layers above the words\n"
    assert sorted(path.name for path in Path("a/model").iterdir()) == ["config.json", "model.safetensors"]
    config = json.loads(Path("a/model/config.json").read_text())
    assert config == {"format": 2, "encoder": {"type": "char_cnn_lstm", **SIZES, "dropout": 0.1}}
    encoder = read_bilm(Path("a/model"))
    assert not encoder.training
    assert_same(encoder, official)

    assert convert(to="official", options="b/o.json", weights="b/w.hdf5", model="a/model") == 0
    assert json.loads(Path("b/o.json").read_text()) == json.loads(Path("options.json").read_text())
    assert_same(read_official(Path("b/o.json"), Path("b/w.hdf5")), official)
    assert not list(Path("a").glob(".*")) and not list(Path("b").glob(".*"))


def test_a_trained_model_gives_its_encoder_and_keeps_its_softmax(encoder: CharCnnLstm) -> None:
    model = nn.ModuleDict({"encoder": encoder, "softmax": nn.Linear(4, 5)})
    config = {
        "task": {"type": "language_model"},
        "encoder": {"type": "char_cnn_lstm", **SIZES},
        "batch_size": 4,
    }
    vocabulary = Vocabulary(["<S>", "</S>", "<UNK>", "the", "cat"])
    save_model(Path("run/model"), config=config, model=model, vocabulary=vocabulary)
    assert convert(to="official", options="options.json", weights="weights.hdf5", model="run") == 0
    assert_same(read_official(Path("options.json"), Path("weights.hdf5")), encoder)
    with h5py.File("weights.hdf5") as file:
        assert sorted(file) == ["CNN", "CNN_high_0", "CNN_proj", "RNN_0", "RNN_1", "char_embed"]
    assert len(read_model(Path("run")).vocabulary) == 5


def test_a_model_of_words_goes_there_and_back_with_its_vocabulary(official: CharCnnLstm) -> None:
    Path("words.txt").write_text("cat\n</S>\n<S>\n")
    table = np.arange(12, dtype=np.float32).reshape(3, 4)
    with h5py.File("table.hdf5", "w") as file:
        file.create_dataset("embedding", data=table)
    arguments = {"options": "options.json", "weights": "weights.hdf5", "model": "model"}
    assert convert(to="model", vocabulary="words.txt", embeddings="table.hdf5", **arguments) == 0
    encoder = read_bilm(Path("model"))
    assert isinstance(encoder, WordLstm)
    assert encoder.vocabulary.words == ["<S>", "</S>", "<UNK>", "cat"]
    assert encoder.words.embedding.tolist() == [*table[[2, 1]].tolist(), [0.0] * 4, table[0].tolist()]

    new = {"options": "new.json", "weights": "new.hdf5", "vocabulary": "new.txt"}
    assert convert(to="official", model="model", **new) == 0
    assert Path("new.txt").read_text() == "<S>\n</S>\n<UNK>\ncat\n"
    assert convert(to="model", **(new | {"model": "again"})) == 0
    assert_same(read_bilm(Path("again")), encoder)


REFUSED = {
    "the model exists": ({"model": "there"}, "there: exists already; a model is never overwritten\n"),
    "the files exist": (
        {"to": "official", "model": "there", "options": "new.json"},
        "weights.hdf5: exists already; a model is never overwritten\n",
    ),
    "no model": (
        {"to": "official", "model": "gone"},
        "gone: no model here (no config.json); give a finished run or its model directory\n",
    ),
    "no options": ({"options": "gone.json"}, "gone.json: cannot be read (No such file or directory)\n"),
    "the same file twice": ({"weights": "options.json"}, "weights: expected another file than options\n"),
    "a table without words": (
        {"embeddings": "table.hdf5"},
        "embeddings: the words of the table are missing; give vocabulary=FILE\n",
    ),
    "a table to write": (
        {"to": "official", "embeddings": "table.hdf5"},
        "embeddings: with to=official the table of words is written into weights; leave it out\n",
    ),
    "words to write of a character model": (
        {"to": "official", "model": "there", "vocabulary": "new.txt"},
        "vocabulary: this model reads characters and has none to write; leave it out\n",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_converted_is_one_line(
    case: str, official: CharCnnLstm, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {"encoder": {"type": "char_cnn_lstm", **SIZES}}
    save_model(Path("there"), config=config, model=nn.ModuleDict({"encoder": official}), vocabulary=None)
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    arguments, message = REFUSED[case]
    usual = {"to": "model", "options": "options.json", "weights": "weights.hdf5", "model": "new"}
    assert convert(**(usual | arguments)) == 2
    assert capsys.readouterr() == ("", message)
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_an_encoder_alone_is_no_model_to_score(official: CharCnnLstm) -> None:
    assert convert(to="model", options="options.json", weights="weights.hdf5", model="model") == 0
    with pytest.raises(InputError, match="model: only an encoder, from official files"):
        read_model(Path("model"))


def test_a_damaged_model_directory_is_named(official: CharCnnLstm) -> None:
    assert convert(to="model", options="options.json", weights="weights.hdf5", model="model") == 0
    weights, config = Path("model/model.safetensors"), Path("model/config.json")
    content = weights.read_bytes()
    weights.write_bytes(content[:-8])
    with pytest.raises(InputError, match=r"model.safetensors: missing or damaged"):
        read_bilm(Path("model"))
    weights.write_bytes(content)
    values = json.loads(config.read_text())
    values["encoder"]["cell_size"] = 7
    config.write_text(json.dumps(values))
    with pytest.raises(InputError, match=r"context.layers.0.bias has shape \(2, 24\), .* expects \(2, 28\)"):
        read_bilm(Path("model"))
    config.write_text('{"format": 2}')
    with pytest.raises(InputError, match=r"config.json: a model without encoder"):
        read_bilm(Path("model"))
