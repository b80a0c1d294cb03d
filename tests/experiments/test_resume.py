"""Runs that go on: the record of their starts, starts that fail, and kills around an evaluation."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml  # type: ignore[import-untyped]
from safetensors.torch import load_file
from tiny_runs import arguments_of, write_data

from experiments import evaluate, train
from experiments.config.command import run_command
from experiments.logging.evaluations import Evaluations
from experiments.training.saving.checkpoint import Checkpoints, load_checkpoint
from experiments.training.trainer import Trainer

LANGUAGE_MODEL = "language_model, stream, adaptive"
TEXTS = "text_classification, stored vectors"
STEPS = ["trainer.max_steps=6", "trainer.evaluate_every=4"]


class Killed(BaseException):
    """The end of the process in the middle of something."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory, files: dict[str, Path]) -> Path:
    """A run of 3 steps, for tests that leave it as it is."""
    directory = tmp_path_factory.mktemp("runs") / "stopped"
    assert start(directory, files, "trainer.max_steps=3", "logger.tensorboard=true") == 0
    return directory


@pytest.fixture(scope="module")
def straight(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, Path]
) -> Callable[[str], dict[str, Any]]:
    """The results of a run without a stop, by its name."""

    @cache
    def run(name: str) -> dict[str, Any]:
        directory = tmp_path_factory.mktemp("runs") / "straight"
        assert start(directory, files, *STEPS, name=name) == 0
        return results(directory)

    return run


def start(directory: Path, files: dict[str, Path], *overrides: str, name: str = LANGUAGE_MODEL) -> int:
    arguments = [*arguments_of(name, directory, files), *overrides]
    return run_command(train.main, config_name="train", arguments=arguments)


def resume(directory: Path, *overrides: str) -> int:
    return run_command(train.main, config_name="train", arguments=[f"resume={directory}", *overrides])


def results(directory: Path) -> dict[str, Any]:
    """Weights, events and figures, without those of the clock."""
    events = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    figures = json.loads((directory / "metrics.json").read_text())
    for values in [*events, figures]:
        for key in [key for key in values if key.endswith(("seconds", "_per_second", "memory_bytes"))]:
            del values[key]
    weights = {name: w.tolist() for name, w in load_file(directory / "model" / "model.safetensors").items()}
    best = (directory / "checkpoints" / "best").resolve().name
    return {"events": events, "figures": figures, "weights": weights, "best": best}


def content(directory: Path) -> dict[str, Any]:
    """Every file of a run with its bytes, every link with its target."""
    return {
        str(path.relative_to(directory)): path.readlink() if path.is_symlink() else path.read_bytes()
        for path in directory.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def test_every_start_of_a_run_is_on_record(tmp_path: Path, files: dict[str, Path]) -> None:
    directory = tmp_path / "run"
    assert start(directory, files, "trainer.max_steps=3") == 0
    first_overrides = (directory / "overrides.yaml").read_text()
    assert resume(directory, "trainer.max_steps=5", "trainer.log_every=2") == 0
    assert resume(directory, "trainer.max_steps=6") == 0
    starts = json.loads((directory / "environment.json").read_text())["starts"]
    assert [each["step"] for each in starts] == [0, 3, 5]
    assert [each["config"]["trainer"]["max_steps"] for each in starts] == [3, 5, 6]
    assert starts[1]["overrides"] == [f"resume={directory}", "trainer.max_steps=5", "trainer.log_every=2"]
    assert all(each["data_fingerprints"] == starts[0]["data_fingerprints"] for each in starts)
    config = yaml.safe_load((directory / "config.yaml").read_text())
    for each in (config, starts[2]["config"]):  # what the run does now, values of earlier starts included
        for key in ("defaults", "output_dir", "name"):
            each.pop(key, None)
    assert config == starts[2]["config"]
    assert (config["trainer"]["max_steps"], config["trainer"]["log_every"]) == (6, 2)
    assert config["resume"] is None
    assert (directory / "overrides.yaml").read_text() == first_overrides


def test_a_start_with_another_version_of_torch_or_of_the_project_is_noted_and_goes_on(
    stopped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "run"
    shutil.copytree(stopped, directory, symlinks=True)
    record = json.loads((directory / "environment.json").read_text())
    start = record["starts"][0]
    start["git"], start["torch"], now = {"commit": "0" * 40}, "2.6.0", torch.__version__
    (directory / "environment.json").write_text(json.dumps(record))
    capsys.readouterr()
    assert resume(directory, "trainer.max_steps=4") == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("since the start")]
    assert "commit 0000000 before, " in line and f"torch 2.6.0 before, {now} now" in line
    assert resume(directory, "trainer.max_steps=5") == 0
    assert "since the start" not in capsys.readouterr().out


def test_a_damaged_newest_checkpoint_costs_the_steps_since_the_one_before_and_no_digit(
    tmp_path: Path,
    files: dict[str, Path],
    straight: Callable[[str], dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    directory = tmp_path / "run"
    assert start(directory, files, *STEPS, "trainer.save_every=1", "trainer.max_steps=5") == 0
    last = (directory / "checkpoints" / "last").resolve()
    weights = last / "state.safetensors"
    weights.write_bytes(weights.read_bytes()[:-30])
    assert last.name == "step-0000005"
    capsys.readouterr()
    assert resume(directory, "trainer.max_steps=6") == 0
    (line,) = [line for line in "".join(capsys.readouterr()).splitlines() if "corrupt" in line]
    assert line.endswith(
        f"{last}/state.safetensors: truncated or corrupt (its checksum is another);"
        f" going on from {last.with_name('step-0000004')} instead"
    )
    assert results(directory) == straight(LANGUAGE_MODEL)


@pytest.mark.parametrize("split", ["dev", "test"])
@pytest.mark.parametrize("name", [LANGUAGE_MODEL, TEXTS])
def test_a_stop_in_an_evaluation_is_obeyed_at_once_and_the_resumed_run_is_bit_equal(
    tmp_path: Path,
    files: dict[str, Path],
    straight: Callable[[str], dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    split: str,
) -> None:
    told = []
    original = Evaluations.tell

    def signalled(evaluations: Evaluations, *arguments: Any) -> None:
        told.append(arguments)
        if arguments[0] == split:
            os.kill(os.getpid(), signal.SIGTERM)
        original(evaluations, *arguments)

    directory = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        patch.setattr(Evaluations, "tell", signalled)
        assert start(directory, files, *STEPS, name=name) == 130
    assert told[-1][1] < told[-1][2] or len(told) == 1  # not to the end of the evaluation
    step = 4 if split == "dev" else 6
    said = capsys.readouterr().err.splitlines()
    assert f"stopped by SIGTERM after step {step}; resume={directory} goes on; " in said[-2]
    assert said[-1] == "interrupted"
    assert (directory / "checkpoints" / "last").resolve().name == f"step-000000{step}"
    assert resume(directory) == 0
    assert results(directory) == straight(name)


def test_scores_are_printed_as_they_come_and_the_end_says_why(
    tmp_path: Path, files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "run"
    assert start(directory, files, *STEPS) == 0
    lines = capsys.readouterr().out.splitlines()
    (first, second) = [line for line in lines if line.startswith("step ")]
    assert first.startswith("step 4, epoch 0.")
    assert ": dev/perplexity " in first and first.endswith("; the best so far")
    assert second.startswith("step 6, epoch 0.")
    best = int((directory / "checkpoints" / "best").resolve().name[-1])
    assert lines[-2:] == [
        f"ended by trainer.max_steps=6 after step 6; the model of step {best}, the best by dev/perplexity,"
        f" is in {directory / 'model'}",
        str(directory),
    ]


def test_a_resume_with_nothing_left_says_so_in_a_line_and_changes_nothing(
    stopped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = content(stopped)
    assert resume(stopped) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(
        f"resume={stopped}: nothing is left to do, trainer.max_steps=3 ended it after step 3; "
    )
    assert content(stopped) == before


def test_a_run_that_ended_by_the_default_limit_trains_on_to_the_one_that_is_given(
    tmp_path: Path, files: dict[str, Path]
) -> None:
    directory = tmp_path / "run"
    assert start(directory, files, "trainer.max_steps=null", "trainer.default_max_steps=2") == 0
    assert json.loads((directory / "metrics.json").read_text())["train/steps"] == 2
    assert resume(directory, "trainer.max_epochs=0.2") == 0
    figures = json.loads((directory / "metrics.json").read_text())
    assert figures["train/steps"] > 2
    assert figures["train/tokens"] >= 0.2 * 600


@pytest.mark.parametrize(("name", "checkpoint"), [(LANGUAGE_MODEL, "4"), (TEXTS, "last")])
def test_a_model_is_made_of_a_checkpoint_of_a_stopped_run(
    tmp_path: Path,
    files: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    checkpoint: str,
) -> None:
    directory, output = tmp_path / "run", tmp_path / "figures.json"

    def killed(*arguments: Any, **options: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(train, "_finish", killed)
        start(directory, files, *STEPS, name=name)
    arguments = [f"run={directory}", f"cache_dir={tmp_path / 'cache'}", f"output={output}", "progress=none"]
    capsys.readouterr()
    assert run_command(evaluate.main, config_name="evaluate", arguments=arguments) == 2
    assert "no model yet; checkpoint=last makes one" in capsys.readouterr().err
    arguments += [f"checkpoint={checkpoint}", "num_threads=1"]
    assert run_command(evaluate.main, config_name="evaluate", arguments=arguments) == 0
    step = "step-0000004" if checkpoint == "4" else "step-0000006"
    learned = load_checkpoint(directory / "checkpoints" / step)["model"]
    checkpoint_path = directory / "checkpoints" / step
    made = load_file(checkpoint_path / "model" / "model.safetensors")
    torch.testing.assert_close({key: made[key] for key in learned}, dict(learned), rtol=0, atol=0)
    scores = json.loads((checkpoint_path / "metrics.json").read_text())
    assert scores.pop("train/steps") == int(step[-7:])
    assert scores == load_checkpoint(checkpoint_path)["position"]["last_scores"]
    assert any(key.startswith("test/") for key in json.loads(output.read_text()))
    shutil.rmtree(checkpoint_path / "model")
    (checkpoint_path / "metrics.json").unlink()
    with (directory / "config.yaml").open("a") as config:
        config.write("unheard_of: 1\n")
    capsys.readouterr()
    assert run_command(evaluate.main, config_name="evaluate", arguments=arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        f"{directory / 'config.yaml'}: not the config of a training (Key 'unheard_of' not in"
    )


OVERRIDES = {
    "component": "softmax=full",
    "mistyped": "trainer.max_stepz=5",
    "value": "schedule.warmup_steps=-5",
    "metric": "trainer.metric=dev/perplexety",
    "device": "trainer.device=cuda:99",
}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("component", "softmax: a resumed run keeps its own"),
        ("mistyped", "trainer.max_stepz: unknown key; nearest: max_steps"),
        ("value", "schedule.warmup_steps: expected at least 0, got -5"),
        ("metric", "trainer.metric: no score 'dev/perplexety' of this task; one of "),
        ("device", "device: cuda:99 is not available here"),
        ("missing data", "data.train: no such file"),
        ("changed data", "resume: the train data is not what the run began with"),
        ("damaged weights", "state.safetensors: truncated or corrupt"),
        ("damaged state", "state.json: not JSON, or damaged"),
        ("damaged record", "environment.json: not JSON, or damaged"),
    ],
)
def test_a_resume_that_fails_changes_no_file_of_the_run(
    stopped: Path,
    files: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    fault: str,
    message: str,
) -> None:
    last = (stopped / "checkpoints" / "last").resolve()
    text = files["train_text"]
    victims = {
        "missing data": text,
        "changed data": text,
        "damaged weights": last / "state.safetensors",
        "damaged state": last / "state.json",
        "damaged record": stopped / "environment.json",
    }
    victim = victims.get(fault, text)
    sound = victim.rename(tmp_path / "sound")
    if fault != "missing data":
        shutil.copy2(sound, victim)
    if fault.startswith("damaged"):
        victim.write_bytes(victim.read_bytes()[:-30])
    elif fault == "changed data":
        victim.write_bytes(victim.read_bytes() + b"one more line\n")
    before = content(stopped)
    capsys.readouterr()
    try:
        assert resume(stopped, OVERRIDES.get(fault, "trainer.max_steps=5")) == 2
        assert content(stopped) == before
    finally:
        sound.replace(victim)
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_first_start_that_fails_leaves_no_record(tmp_path: Path, files: dict[str, Path]) -> None:
    directory = tmp_path / "run"
    assert start(directory, files, "data.train=nowhere.txt") == 2
    assert content(directory) == {".lock": b""}


@pytest.mark.parametrize(
    ("name", "owner", "method", "calls_before"),
    [
        (LANGUAGE_MODEL, Trainer, "_check_metric", 0),  # before anything is known of the evaluation
        (LANGUAGE_MODEL, Checkpoints, "amend", 0),  # its scores are in metrics.jsonl, not in the checkpoint
        (LANGUAGE_MODEL, Checkpoints, "mark_best", 0),
        (LANGUAGE_MODEL, Checkpoints, "amend", 1),  # at the end of the run
        (TEXTS, Checkpoints, "amend", 0),
    ],
)
def test_a_run_killed_around_an_evaluation_ends_bit_equal_to_one_without_a_kill(
    tmp_path: Path,
    files: dict[str, Path],
    straight: Callable[[str], dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    owner: type,
    method: str,
    calls_before: int,
) -> None:
    calls = []
    original = getattr(owner, method)

    def killed(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) > calls_before:
            raise Killed
        return original(*arguments)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(owner, method, killed)
        start(tmp_path / "killed", files, *STEPS, name=name)
    last = (tmp_path / "killed" / "checkpoints" / "last").resolve().name
    assert last == ("step-0000006" if calls_before else "step-0000004")
    assert resume(tmp_path / "killed") == 0
    assert results(tmp_path / "killed") == straight(name)
