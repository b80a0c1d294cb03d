"""A biLM of a user's own kind, from a plug-in: all commands take it as they take ELMo's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from places import ROOT
from safetensors.torch import load_file
from tiny_runs import COMMON, write_data

from elmo import Elmo, ElmoEmbedder
from experiments import convert, embed, evaluate, predict, score, train
from experiments.benchmark.__main__ import benchmark
from experiments.config.command import run_command

PLUGIN = ["plugins=[gru_plugin]", f"--config-dir={ROOT / 'tests' / 'support' / 'gru_plugin' / 'conf'}"]
QUIET = ["progress=none", *PLUGIN]
SENTENCES = [["w0", "w3"], ["w1"], ["w2", "w0", "unseen", "w4"]]


class Runs:
    """Runs of the commands in one directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = write_data(path)
        self.text = [f"data.{split}={self.files[f'{split}_text']}" for split in ("train", "dev", "test")]
        self.text += ["data=text", "tokenizer=whitespace", "vocabulary.min_count=1"]

    def train(self, name: str, *overrides: str) -> Path:
        """Train to the end; the run's directory."""
        directory = self.path / name
        arguments = [*COMMON, f"cache_dir={self.path / 'cache'}", f"output_dir={directory}", *overrides]
        assert run_command(train.main, config_name="train", arguments=[*arguments, *PLUGIN]) == 0
        return directory

    def language_model(self, name: str, *overrides: str) -> Path:
        stream = ["batching=stream", "batching.num_steps=5", "softmax.cutoffs=[10]", *overrides]
        return self.train(name, *self.text, "encoder=gru_tiny", *stream)

    def classifier(self, name: str, *overrides: str) -> Path:
        data = [f"data.{split}={self.files[split]}" for split in ("train", "dev", "test")]
        texts = ["task=text_classification", "data=labelled_files", "data.prose=false", *data]
        return self.train(name, *texts, "tokenizer=whitespace", "encoder=elmo", *overrides)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def pretrained(runs: Runs) -> Path:
    return runs.language_model("pretrained")


def weights(directory: Path) -> dict[str, torch.Tensor]:
    return load_file(directory / "model" / "model.safetensors")


def test_it_pretrains_and_a_stop_and_resume_changes_nothing(runs: Runs, pretrained: Path) -> None:
    stopped = runs.language_model("stopped", "trainer.max_steps=6")
    arguments = [f"resume={stopped}", "trainer.max_steps=12", *PLUGIN]
    assert run_command(train.main, config_name="train", arguments=arguments) == 0
    torch.testing.assert_close(weights(stopped), weights(pretrained), rtol=0, atol=0)
    assert weights(pretrained)["encoder.start_1"].shape == (2, 1, 8)
    assert weights(pretrained)["encoder.start_1"].any()  # its rows carried a state


def test_it_is_evaluated_as_at_the_end_of_its_training(
    pretrained: Path, runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    output = runs.path / "figures.json"
    arguments = [f"run={pretrained}", f"cache_dir={runs.path / 'cache'}", f"output={output}", *QUIET]
    assert run_command(evaluate.main, config_name="evaluate", arguments=arguments) == 0
    found, trained = (json.loads(path.read_text()) for path in (output, pretrained / "metrics.json"))
    assert found["test/perplexity"] == pytest.approx(trained["test/perplexity"], rel=1e-6)


def test_it_scores_sentences(pretrained: Path, runs: Runs) -> None:
    text, output = runs.path / "text.txt", runs.path / "scores.jsonl"
    text.write_text("".join(" ".join(words) + "\n" for words in SENTENCES))
    arguments = [f"run={pretrained}", f"input={text}", f"output={output}", *QUIET]
    assert run_command(score.main, config_name="score", arguments=arguments) == 0
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [len(row["forward"]) for row in rows] == [2, 1, 4]
    assert rows[2]["unknown"] == [False, False, True, False]


@pytest.mark.parametrize("state", ["auto", "carried"])
def test_it_embeds_files_from_its_own_state_or_a_carried_one(
    pretrained: Path, runs: Runs, state: str
) -> None:
    text, output = runs.path / f"{state}.txt", runs.path / f"{state}.h5"
    text.write_text("".join(" ".join(words) + "\n" for words in SENTENCES))
    arguments = [f"model={pretrained}", f"input={text}", f"output={output}", f"state={state}", "layers=all"]
    assert run_command(embed.main, config_name="embed", arguments=[*arguments, *QUIET]) == 0
    alone = ElmoEmbedder(pretrained, state="auto")
    with h5py.File(output) as file:
        for number, words in enumerate(SENTENCES):
            same = np.allclose(file[str(number)], alone.embed_sentence(words), atol=1e-6)
            assert same == (state == "auto" or number == 0)


def test_bf16_points_the_same_way(pretrained: Path) -> None:
    full, low = (
        ElmoEmbedder(pretrained, precision=precision).embed_sentence(SENTENCES[2]).ravel()
        for precision in ("fp32", "bf16")
    )
    assert full @ low / np.linalg.norm(full) / np.linalg.norm(low) > 0.999


def test_it_is_a_part_of_a_model_that_trains_it(pretrained: Path) -> None:
    elmo = Elmo(pretrained, requires_grad=True, dropout=0.0)
    vectors = elmo(SENTENCES)["elmo_representations"][0]
    alone = ElmoEmbedder(pretrained, layers="average").embed_sentences(SENTENCES)
    np.testing.assert_allclose(vectors.detach().numpy(), alone, atol=1e-6)
    vectors.sum().backward()
    assert all(parameter.grad is not None for parameter in elmo.bilm.parameters())


def test_it_serves_a_task_frozen_or_fine_tuned_layer_by_layer(runs: Runs, pretrained: Path) -> None:
    frozen = runs.classifier("frozen", f"init_from={pretrained}")
    ours = {name.rpartition("bilm.")[2]: w for name, w in weights(frozen).items() if ".bilm." in name}
    theirs = {name.removeprefix("encoder."): w for name, w in weights(pretrained).items()}
    assert ours and all(torch.equal(w, theirs[name]) for name, w in ours.items())

    thawing = ["fine_tuning.trainable=true", "fine_tuning.unfreeze_every=0.2", "fine_tuning.layer_factor=0.5"]
    tuned = runs.classifier("tuned", f"init_from={pretrained}", *thawing)
    moved = [name for name, w in weights(tuned).items() if not torch.equal(w, weights(frozen)[name])]
    assert any(".words." in name for name in moved) and any(".context.layers.1." in name for name in moved)

    text, output = runs.path / "new.txt", runs.path / "answers.jsonl"
    text.write_text("w0 w1 sun\nw0 rain\n")
    arguments = [f"run={tuned}", f"input={text}", f"output={output}", *QUIET]
    assert run_command(predict.main, config_name="predict", arguments=arguments) == 0
    assert {json.loads(line)["label"] for line in output.read_text().splitlines()} <= {"good", "bad"}
    assert ElmoEmbedder(tuned).embed_sentence(SENTENCES[0]).shape == (3, 2, 16)


def test_its_speed_is_measured(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    files = [override for override in runs.text if override.startswith("data") or "tokenizer" in override]
    sizes = ["encoder=gru_tiny", "num_sentences=4", "batch_sizes=[1,2]", "repeats=1"]
    assert benchmark(["embed", *files, *sizes, *QUIET]) == 0
    assert "MFLOP per word" in capsys.readouterr().out


def test_the_official_format_has_no_place_for_it(
    pretrained: Path, runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [f"options={runs.path / 'o.json'}", f"weights={runs.path / 'w.hdf5'}"]
    arguments = ["to=official", f"model={pretrained}", *files, *PLUGIN]
    assert run_command(convert.main, config_name="convert", arguments=arguments) == 2
    assert capsys.readouterr().err == "an encoder of type char_cnn_gru has no official format\n"
    assert not (runs.path / "o.json").exists()


def test_its_model_says_what_is_missing_without_the_plugin(pretrained: Path) -> None:
    from elmo.registry import REGISTRY, Registry

    known, REGISTRY._classes = REGISTRY._classes, Registry()._classes
    try:
        REGISTRY._classes.update({kind: dict(classes) for kind, classes in known.items()})
        del REGISTRY._classes["encoder"]["char_cnn_gru"]
        with pytest.raises(ValueError, match=r"unknown encoder 'char_cnn_gru'.*import the package"):
            ElmoEmbedder(pretrained)
    finally:
        REGISTRY._classes = known


@pytest.fixture(scope="module")
def stateless(runs: Runs) -> Path:
    """A biLM that carries nothing between batches."""
    return runs.train("means", *runs.text, "encoder=mean_tiny", "softmax=full", "batching=sentences")


def test_without_a_state_a_long_sentence_is_embedded_whole(stateless: Path) -> None:
    words = [f"w{number % 30}" for number in range(300)]
    whole = ElmoEmbedder(stateless).embed_sentence(words)
    in_pieces = ElmoEmbedder(stateless, tokens_per_batch=7).embed_sentence(words)
    np.testing.assert_allclose(in_pieces, whole, atol=1e-6)


def test_without_a_state_a_stream_of_rows_is_refused(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*COMMON, *runs.text, "encoder=mean_tiny", "batching=stream", *PLUGIN]
    arguments.insert(0, f"output_dir={runs.path / 'refused'}")
    assert run_command(train.main, config_name="train", arguments=arguments) == 2
    assert capsys.readouterr().err == (
        "batching: stream carries the encoder's state from batch to batch, and this encoder has none;"
        " choose batching=sentences\n"
    )


@pytest.mark.parametrize("state", ["carried", "warm"])
def test_a_state_that_a_model_lacks_is_refused(stateless: Path, state: str) -> None:
    with pytest.raises(ValueError, match=f"state: '{state}', but this model has no state to carry"):
        ElmoEmbedder(stateless, state=state)


WITHOUT_PLUGIN = """
import sys
from experiments import evaluate, train
from experiments.config.command import run_command
run, cache = sys.argv[1:]
common = [f"run={run}", f"cache_dir={cache}", "progress=none"]
def evaluated(*more):
    return run_command(evaluate.main, config_name="evaluate", arguments=[*common, *more])
def resumed(*more):
    return run_command(train.main, config_name="train", arguments=[f"resume={run}", *more])
assert (evaluated(), resumed()) == (2, 2)
assert "gru_plugin" not in sys.modules
assert (resumed("plugins=run", "trainer.max_steps=13"), evaluated("plugins=run")) == (0, 0)
"""


def test_a_run_names_its_plugins_and_imports_them_only_if_told(runs: Runs, pretrained: Path) -> None:
    run = runs.path / "copied"
    shutil.copytree(pretrained, run, symlinks=True)
    command = [sys.executable, "-c", WITHOUT_PLUGIN, str(run), str(runs.path / "cache")]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )
    needs = "the run needs plugins=[gru_plugin]; name them, or add plugins=run to import what the run names"
    assert done.stderr.splitlines()[:2] == [f"run={run}: {needs}", f"resume={run}: {needs}"]
    assert done.returncode == 0, done.stderr
