"""Pretraining that goes on, on another text: from a run, from official files, with other words."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import pytest
import torch
from safetensors.torch import load_file
from tiny_runs import COMMON, TINY, write_data
from torch import Tensor

from elmo.io.model_directory import read_bilm
from elmo.io.official import write_official
from experiments import train
from experiments.config.command import run_command

TEXT = ["data=text", "tokenizer=whitespace", "vocabulary.min_count=1", "batching.num_steps=5"]
STILL = ["optimizer.learning_rate=1e-12", "trainer.max_steps=1"]


class Runs:
    """Language models of one text, and of another one that shares half of its words."""

    def __init__(self, path: Path) -> None:
        self.path = path
        files = write_data(path)
        self.own = [f"data.{split}={files[f'{split}_text']}" for split in ("train", "dev", "test")]
        for name in ("train", "dev", "test"):
            text = files[f"{name}_text"].read_text().replace("w2", "v2").replace("w1", "v1")
            (path / f"other_{name}.txt").write_text(text)
        self.other = [f"data.{split}={path}/other_{split}.txt" for split in ("train", "dev", "test")]

    def exit_code(self, name: str, *overrides: str) -> int:
        places = [f"output_dir={self.path / name}", f"cache_dir={self.path / 'cache'}"]
        arguments = [*TEXT, *COMMON, *places, *overrides]
        return run_command(train.main, config_name="train", arguments=arguments)

    def train(self, name: str, *overrides: str) -> Path:
        assert self.exit_code(name, *overrides) == 0
        return self.path / name


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def first(runs: Runs) -> Path:
    """A model of running rows, with sizes that no preset has and a start state of its own."""
    return runs.train("first", *runs.own, *TINY, "batching=stream", "softmax=full", "encoder.dropout=0.2")


@pytest.fixture(scope="module")
def official(runs: Runs, first: Path) -> Path:
    """Its official files."""
    directory = runs.path / "official"
    directory.mkdir()
    write_official(read_bilm(first), directory / "options.json", directory / "weights.hdf5")
    return directory


def weights(directory: Path) -> dict[str, Tensor]:
    return load_file(directory / "model" / "model.safetensors")


def words(directory: Path) -> list[str]:
    return (directory / "model" / "vocabulary.txt").read_text().splitlines()


def assert_encoder_of(directory: Path, first: Path, *, but: str = "?") -> None:
    ours, theirs = (
        {name: w for name, w in weights(d).items() if name.startswith("encoder.") and but not in name}
        for d in (directory, first)
    )
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


def rows_of(directory: Path, wanted: list[str]) -> Tensor:
    """The weights and biases of some words of a full softmax, or of an adaptive one without clusters."""
    found, ids = weights(directory), [words(directory).index(word) for word in wanted]
    prefix = "softmax.head_" if "softmax.head_bias" in found else "softmax."
    return torch.cat([found[f"{prefix}weight"][ids], found[f"{prefix}bias"].view(-1, 1)[ids]], dim=1)


@pytest.mark.parametrize("softmax", ["full", "sampled", "adaptive"])
def test_another_text_gets_the_encoder_and_the_rows_of_the_words_that_both_have(
    runs: Runs, first: Path, softmax: str, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = runs.train(
        f"other_{softmax}", *runs.other, f"softmax={softmax}", f"init_from={first}", *STILL
    )
    assert_encoder_of(directory, first)  # of its size, although no size was given, with its start state
    assert "dropout: 0.2" in (directory / "config.yaml").read_text()
    shared = [word for word in words(directory) if word in words(first)]
    assert 5 < len(shared) < len(words(directory))
    torch.testing.assert_close(rows_of(directory, shared), rows_of(first, shared), rtol=0, atol=1e-9)
    told = f"the encoder, with its own start state, the softmax's rows of {len(shared)} of 33 words"
    assert told in " ".join(capsys.readouterr().out.split())


def test_the_encoder_stays_as_it_is_for_the_first_steps(runs: Runs, first: Path) -> None:
    options = [*runs.other, f"init_from={first}", "softmax=full", "trainer.accumulate_batches=2"]
    options += ["task.frozen_steps=3", "trainer.evaluate_every=10"]
    still, moved = (runs.train(f"frozen_{n}", *options, f"trainer.max_steps={n}") for n in (3, 4))
    assert_encoder_of(still, first)
    shared = words(first)[:3]
    assert not torch.allclose(rows_of(still, shared), rows_of(first, shared), atol=1e-3)
    with pytest.raises(AssertionError):
        assert_encoder_of(moved, first, but="start_")


@pytest.mark.parametrize("stop", [2, 4])
def test_it_is_resumed_bit_for_bit_even_where_the_encoder_was_frozen(
    runs: Runs, first: Path, stop: int
) -> None:
    options = [*runs.other, f"init_from={first}", "batching=stream", "task.frozen_steps=3"]
    options += ["trainer.evaluate_every=2"]
    straight = runs.train(f"straight_{stop}", *options, "trainer.max_steps=6")
    resumed = runs.train(f"resumed_{stop}", *options, f"trainer.max_steps={stop}")
    arguments = [f"resume={resumed}", "trainer.max_steps=6"]
    assert run_command(train.main, config_name="train", arguments=arguments) == 0
    torch.testing.assert_close(weights(resumed), weights(straight), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["encoder=elmo_tiny"], "encoder.character_embedding_size: 16, but init_from={first} has 4; leave"),
        (["encoder.cell_size=17"], "encoder.cell_size: 17, but init_from={first} has 16; leave"),
        (["~init_from", "task.frozen_steps=3"], "task.frozen_steps: a new encoder has nothing to keep"),
        (["task.frozen_steps=-1"], "task.frozen_steps: expected at least 0, got -1"),
        (["init_from=nowhere"], "nowhere: no such directory and no published model"),
    ],
)
def test_what_disagrees_with_the_model_is_refused_before_the_text_is_read(
    runs: Runs, first: Path, overrides: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    start = [] if overrides[0].startswith(("~", "init_from")) else [f"init_from={first}"]
    overrides = [override for override in overrides if override[0] != "~"]
    absent = f"cache_dir={runs.path / 'unread'}"
    assert runs.exit_code("refused", *runs.other, *start, absent, *overrides) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(line.format(first=first))
    assert list((runs.path / "unread").glob("*")) == []


@pytest.mark.parametrize(
    "agreeing", [TINY, ["encoder=elmo"], ["encoder.dropout=0.3", "encoder.cell_size=16"]]
)
def test_what_agrees_with_the_model_may_be_given(runs: Runs, first: Path, agreeing: list[str]) -> None:
    name = f"agreeing_{len(agreeing)}"
    directory = runs.train(name, *runs.other, f"init_from={first}", *agreeing, *STILL)
    assert_encoder_of(directory, first)
    dropout = "0.3" if "encoder.dropout=0.3" in agreeing else "0.2"
    assert f"dropout: {dropout}" in (directory / "config.yaml").read_text()


def test_official_files_are_trained_further_from_zeros_with_a_new_softmax(
    runs: Runs, first: Path, official: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = runs.train("from_official", *runs.other, f"init_from={official}", *STILL)
    assert_encoder_of(directory, first, but="start_")
    assert not any(w.any() for name, w in weights(directory).items() if "start_" in name)
    assert "init_from the encoder; the softmax is new" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("place", ["model_softmax_weights.hdf5", "weights.hdf5"])
def test_the_official_softmax_is_taken_over_where_it_lies_beside_the_weights(
    runs: Runs, first: Path, official: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = runs.path / f"with_{place}"
    shutil.copytree(official, directory)
    found = weights(first)
    with h5py.File(directory / place, "a") as file:
        # in the order of the original's vocabularies, where the markers may be on any line
        file["softmax/W"] = found["softmax.weight"].flip(0).numpy()
        file["softmax/b"] = found["softmax.bias"].flip(0).numpy()
    (directory / "vocab.txt").write_text("".join(f"{word}\n" for word in reversed(words(first))))
    options = [*runs.other, "softmax=sampled", f"init_from={directory}", *STILL]
    continued = runs.train(f"from_{place}", *options)
    shared = [word for word in words(continued) if word in words(first)]
    torch.testing.assert_close(rows_of(continued, shared), rows_of(first, shared), rtol=0, atol=1e-9)
    assert f"the softmax's rows of {len(shared)} of 33 words" in " ".join(capsys.readouterr().out.split())

    with h5py.File(directory / place, "a") as file:
        del file["softmax/W"]
        file["softmax/W"] = found["softmax.weight"][:, :5].numpy()
    assert runs.exit_code("refused", *options) == 2
    assert f"init_from={directory}: the softmax has vectors of size 5, and" in capsys.readouterr().err
    (directory / "vocab.txt").write_text("<S>\n</S>\nw1\n")
    assert runs.exit_code("refused", *options) == 2
    assert f"{place}: softmax/W has shape (33, 5), but" in capsys.readouterr().err
