"""What W&B and TensorBoard have of a run, read back: labels, the whole config, and exactly the figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from places import ROOT
from tiny_runs import arguments_of, write_data
from wandb.sdk.launch.sweeps import utils as wandb_sweeps

from experiments import train
from experiments.config.command import CONF_PATH, run_command
from experiments.config.single_job import run_job
from experiments.io.run_directory import RunDirectory
from experiments.logging.wandb_sink import WandbSink
from tasks.task import Task

TEXTS = "text_classification, words"
PRETRAINING = "language_model, sentences, full, tanh"
SWEEP = yaml.safe_load((CONF_PATH / "wandb_sweep.yaml").read_text())
IN_VENV = {**os.environ, "WANDB_ERROR_REPORTING": "false", "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_data(tmp_path_factory.mktemp("data"))


def records(run: RunDirectory) -> list[dict[str, Any]]:
    """All records of a run's only offline file, as W&B itself reads them."""
    (file,) = run.wandb_path.glob("offline-run-*/*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json"]
    whole = subprocess.run([*command, str(file)], capture_output=True, check=True, text=True).stdout
    return [json.loads(line) for line in whole.splitlines()]


def summary_of(run: RunDirectory) -> dict[str, Any]:
    (file,) = run.wandb_path.glob("offline-run-*/*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", "--summary"]
    return dict(json.loads(subprocess.run([*command, str(file)], capture_output=True, check=True).stdout))


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory, files: dict[str, Path]) -> RunDirectory:
    """A run with both loggers, labelled as a job of a sweep."""
    run = RunDirectory(tmp_path_factory.mktemp("runs") / "logged")
    arguments = [*arguments_of(TEXTS, run.path, files), "trainer.max_steps=4", "trainer.evaluate_every=2"]
    arguments += [
        "logger.wandb=offline",
        "logger.tensorboard=true",
        "logger.group=heads",
        "logger.tags=[a,b]",
    ]
    assert run_command(train.main, config_name="train", arguments=arguments) == 0
    return run


@pytest.fixture(scope="module")
def read_back(logged: RunDirectory) -> list[dict[str, Any]]:
    return records(logged)


def test_a_run_has_its_labels_and_its_whole_config(read_back: list[dict[str, Any]]) -> None:
    (start,) = [record["run"] for record in read_back if record["type"] == "run"]
    assert (start["display_name"], start["run_group"], start["tags"]) == ("logged", "heads", ["a", "b"])
    assert start["job_type"] == "fine-tune"
    config = start["config"]["update"]
    assert (config["encoder"]["type"], config["trainer"]["max_steps"]) == ("word", 4)
    assert config["choices"]["head"] == "pooled" and config["facts"]["train_texts"] == 40


def test_the_summary_is_exactly_the_final_figures(logged: RunDirectory) -> None:
    summary = summary_of(logged)["summary"]
    figures = {k: v for k, v in summary.items() if not k.startswith("_") and not isinstance(v, dict)}
    assert figures == json.loads(logged.metrics_path.read_text())
    media = {key: value["_type"] for key, value in summary.items() if isinstance(value, dict)}
    assert media.pop("test/confusion") == "table-file"
    assert media["plots/confusion"] == "image-file"


def test_the_history_has_every_event(logged: RunDirectory, read_back: list[dict[str, Any]]) -> None:
    rows = [record["history"]["item"] for record in read_back if record["type"] == "history"]
    found: dict[int, dict[str, Any]] = {}
    for line in logged.metrics_log_path.read_text().splitlines():
        event = json.loads(line)
        found.setdefault(event["step"], {}).update(event)
    by_step = {row["_step"]: row for row in rows}
    for step, event in found.items():
        assert {key: by_step[step][key] for key in event if key != "step"} == {
            key: value for key, value in event.items() if key != "step"
        }


def test_tensorboard_has_the_same_scalars_and_the_hparams(logged: RunDirectory) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    accumulator = reader.EventAccumulator(str(logged.tensorboard_path))
    accumulator.Reload()
    events = [json.loads(line) for line in logged.metrics_log_path.read_text().splitlines()]
    figures = json.loads(logged.metrics_path.read_text())
    assert set(accumulator.Tags()["scalars"]) == {key for event in events for key in event} - {"step"} | set(
        figures
    )
    losses = [(event["step"], event["train/loss"]) for event in events if "train/loss" in event]
    assert [(each.step, each.value) for each in accumulator.Scalars("train/loss")] == [
        (step, pytest.approx(loss)) for step, loss in losses
    ]
    assert accumulator.Scalars("test/accuracy")[-1].value == pytest.approx(figures["test/accuracy"])


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        (TEXTS, [], "fine-tune"),
        (PRETRAINING, [], "pretrain"),
        (TEXTS, ["logger.job_type=baseline"], "baseline"),
    ],
)
def test_the_job_type_is_the_users_or_the_tasks(
    name: str,
    changes: list[str],
    expected: str,
    tmp_path: Path,
    files: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Seen(Exception):
        pass

    def given(self: WandbSink, **options: Any) -> None:
        raise Seen(options["job_type"])

    monkeypatch.delenv("WANDB_JOB_TYPE", raising=False)
    monkeypatch.setattr(WandbSink, "__init__", given)
    arguments = [*arguments_of(name, tmp_path / "run", files), "logger.wandb=offline", *changes]
    with pytest.raises(Seen, match=f"^{expected}$"):
        run_job(train.main, config_name="train", arguments=arguments)


def test_the_sweep_file_names_keys_and_a_metric_that_exist() -> None:
    from elmo.registry import REGISTRY
    from experiments.config.schema import TrainConfig

    arguments = [
        f"{key}={spec.get('min', spec.get('values', [0])[0])}" for key, spec in SWEEP["parameters"].items()
    ]

    def checked(config: TrainConfig, overrides: list[str]) -> TrainConfig:
        assert overrides == arguments
        return config

    config = run_job(checked, config_name="train", arguments=arguments)
    task: Task = REGISTRY.build("task", config.task)
    assert SWEEP["metric"]["name"] in task.score_names(None)  # type: ignore[arg-type]  # needs no setup
    assert SWEEP["metric"]["name"] == config.trainer.metric
    assert SWEEP["metric"]["goal"] == config.trainer.metric_goal.value


def test_a_trial_of_wandbs_own_sweep_is_logged_as_the_agents_run(
    tmp_path: Path, files: dict[str, Path]
) -> None:
    overrides = [
        *arguments_of(PRETRAINING, tmp_path / "run", files),
        "trainer.max_steps=1",
        "logger.wandb=auto",
    ]
    chosen = {"optimizer.learning_rate": 0.004, "seed": 3}
    arguments = {"args": {key: {"value": value} for key, value in chosen.items()}}
    command = wandb_sweeps.create_sweep_command(SWEEP["command"])
    filled = {
        "${program}": ["-m", "experiments.train", *overrides],  # what is installed as elmo-train
        "${args_no_hyphens}": wandb_sweeps.create_sweep_command_args(arguments)["args_no_hyphens"],
        "/usr/bin/env": [],
        "${env}": [],
    }
    parts = [word for part in command for word in filled.get(part, [part])]
    parameters = tmp_path / "parameters.yaml"
    parameters.write_text(yaml.safe_dump({"wandb_version": 1, **arguments["args"]}))
    agent = {
        "WANDB_SWEEP_ID": "sweep123",
        "WANDB_RUN_ID": "agentrun",
        "WANDB_SWEEP_PARAM_PATH": str(parameters),
        "WANDB_PROJECT": "theirs",
        "WANDB_DIR": str(tmp_path),
        "WANDB_MODE": "offline",
    }
    result = subprocess.run(
        [sys.executable, *parts], env=IN_VENV | agent, cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    run = RunDirectory(tmp_path / "run")
    found = records(run)
    (start,) = [record["run"] for record in found if record["type"] == "run"]
    assert (start["run_id"], start["sweep_id"], start["project"]) == ("agentrun", "sweep123", "theirs")
    assert (run.wandb_path / "run-id.txt").read_text() == "agentrun\n"
    config = start["config"]["update"]
    assert config["optimizer"]["learning_rate"] == 0.004 and config["seed"] == 3
    figures = [record["summary"].get("update", {}) for record in found if record["type"] == "summary"]
    assert any(SWEEP["metric"]["name"] in values for values in figures)
    assert "Ignoring" not in result.stdout + result.stderr
