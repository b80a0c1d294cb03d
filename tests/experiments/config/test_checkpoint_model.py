"""Checkpoints in the place of runs: a biLM at some step as the encoder of a task, and for `embed`."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import pytest
import torch
from tiny_runs import TINY, arguments_of, write_data

from elmo.inference.embedder import ElmoEmbedder
from elmo.io.loading import load_bilm
from experiments import embed, train
from experiments.config.command import run_command
from experiments.training.saving.checkpoint import load_checkpoint

LANGUAGE_MODEL, TEXTS = "language_model, sentences, adaptive", "text_classification, stored vectors"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, files: dict[str, Path]) -> Path:
    """The checkpoints of a pretraining of six steps, of which those of the third and sixth are kept."""
    directory = tmp_path_factory.mktemp("runs") / "bilm"
    options = ["trainer.max_steps=6", "trainer.keep_at=[0.5,1]", "trainer.evaluate_every=5"]
    arguments = [*arguments_of(LANGUAGE_MODEL, directory, files), *options, "trainer.keep_checkpoints=1"]
    assert run_command(train.main, config_name="train", arguments=arguments) == 0
    return directory / "checkpoints"


def test_a_task_starts_from_a_checkpoint_and_records_its_steps_and_its_perplexity(
    kept: Path, files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = [text for text in arguments_of(TEXTS, tmp_path / "run", files) if not text.startswith("encoder")]
    arguments = [*own, "encoder=elmo", "trainer.max_steps=2", f"init_from={kept / 'at-0.5'}"]
    assert run_command(train.main, config_name="train", arguments=arguments) == 0
    told = f"the model of step 3 is in {kept / 'step-0000003' / 'model'}"
    assert capsys.readouterr().out.count(told) == 1
    events = [json.loads(line) for line in (kept.parent / "metrics.jsonl").read_text().splitlines()]
    (scored,) = [event for event in events if event["step"] == 3 and "dev/perplexity" in event]
    figures = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (figures["bilm/steps"], figures["bilm/perplexity"]) == (3, scored["dev/perplexity"])
    learned = load_checkpoint(kept / "step-0000003")["model"]
    bilm = load_bilm(kept / "at-0.5").bilm.state_dict()
    torch.testing.assert_close(
        bilm, {key: learned[f"encoder.{key}"] for key in bilm}, rtol=0, atol=0, check_stride=False
    )


def test_a_checkpoint_is_embedded_with_and_a_pretraining_goes_on_from_it(
    kept: Path, files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.txt").write_text("w1 w2 w3\n")
    arguments = [f"model={kept / 'at-1'}", f"input={tmp_path / 'in.txt'}", f"output={tmp_path / 'out.h5'}"]
    arguments += ["tokenizer=whitespace", "num_threads=1", "progress=none"]
    assert run_command(embed.main, config_name="embed", arguments=arguments) == 0
    assert f"the model of step 6 is in {kept / 'step-0000006' / 'model'}" in capsys.readouterr().out
    with h5py.File(tmp_path / "out.h5") as vectors:
        expected = ElmoEmbedder(str(kept.parent)).embed_sentences([["w1", "w2", "w3"]])[0]
        torch.testing.assert_close(torch.from_numpy(vectors["0"][()]), torch.as_tensor(expected))
    own = [text for text in arguments_of(LANGUAGE_MODEL, tmp_path / "run", files) if text not in TINY]
    more = [*own, "trainer.max_steps=1", f"init_from={kept / 'at-1'}"]
    assert run_command(train.main, config_name="train", arguments=more) == 0
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["bilm/steps"] == 6


def test_a_damaged_checkpoint_is_told_in_a_line_and_leaves_no_model(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "run" / "checkpoints" / "step-0000006"
    damaged.mkdir(parents=True)
    (tmp_path / "run" / "config.yaml").write_bytes((kept.parent / "config.yaml").read_bytes())
    (damaged / "state.json").write_bytes((kept / "step-0000006" / "state.json").read_bytes())
    (damaged / "state.safetensors").write_bytes(b"half")
    arguments = [f"model={damaged}", "input=a", "output=b", "tokenizer=whitespace", "progress=none"]
    assert run_command(embed.main, config_name="embed", arguments=arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{damaged / 'state.safetensors'}: truncated or corrupt")
    assert {path.name for path in damaged.iterdir()} == {"state.json", "state.safetensors"}
