"""Tests of the commands' rim: each config fault is a line on stderr, what is sound arrives checked."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from omegaconf import OmegaConf

from elmo.errors import InputError
from elmo.registry import REGISTRY
from experiments.config import check as check_module
from experiments.config.choices import WandbMode
from experiments.config.command import CONF_PATH, run_command
from experiments.config.save import read_saved, save_overrides, save_resolved
from experiments.config.schema import TrainConfig

OPTIONS = {
    "data": ("sotu", "text"),
    "tokenizer": ("words",),
    "softmax": ("adaptive", "sampled"),
    "batching": ("stream",),
    "optimizer": ("adamw",),
    "schedule": ("cosine",),
    "encoder": ("elmo_tiny", "word"),
}
LANGUAGE_MODEL = """\
# @package _global_
defaults:
  - /data: sotu
  - /encoder: elmo_tiny
  - /tokenizer: words
  - /softmax: adaptive
  - /batching: stream
  - /schedule: cosine
  - _self_
task:
  type: probe_component
  size: 1
trainer: {max_minutes: 4.0, metric: dev/perplexity}
"""
SENTIMENT = """\
# @package _global_
defaults:
  - /data: text
  - /encoder: word
  - /tokenizer: words
  - /schedule: cosine
  - _self_
task:
  type: probe_component
  size: 2
trainer: {max_minutes: 4.0, metric: dev/accuracy}
"""
GOOD_EXPERIMENT = """\
# @package _global_
defaults:
  - override /softmax: sampled
  - override /data: text
softmax:
  size: 7
trainer:
  max_steps: 5
"""
BAD_EXPERIMENT = """\
# @package _global_
defaults:
  - override /softmax: sampled
trainr:
  max_steps: 3
trainer:
  max_step: 3
  batch_size: many
softmax:
  sise: 3
"""
WRONG_OPTION = """\
# @package _global_
defaults:
  - override /softmax: sampeld
"""

Command = Callable[..., int]


class ProbeComponent:
    def __init__(self, *, size: int, weight: float = 1.0, language: str = "en") -> None:
        self.size, self.weight = size, weight


@pytest.fixture
def conf_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real roots, trainer and logger presets; in small groups every option is one probe component."""
    path = tmp_path / "conf"
    for part in ("hydra", "trainer", "logger"):
        shutil.copytree(CONF_PATH / part, path / part)
    shutil.copy(CONF_PATH / "train.yaml", path)
    for group, options in OPTIONS.items():
        for option in options:
            write(path / group / f"{option}.yaml", "type: probe_component\nsize: 3\n")
    write(path / "task" / "language_model.yaml", LANGUAGE_MODEL)
    write(path / "task" / "sentiment.yaml", SENTIMENT)
    for name, text in (("good", GOOD_EXPERIMENT), ("bad", BAD_EXPERIMENT), ("wrong_option", WRONG_OPTION)):
        write(path / "experiment" / f"{name}.yaml", text)
    # One class stands for every kind here, so that the tests need none of the real components.
    classes = {kind: {"probe_component": ProbeComponent} for kind in check_module.GIVEN}
    monkeypatch.setattr(REGISTRY, "_classes", classes)
    monkeypatch.setattr(check_module, "GIVEN", dict.fromkeys(check_module.GIVEN, ()))
    monkeypatch.setattr(check_module, "COMPONENT_PACKAGES", ())
    monkeypatch.chdir(tmp_path)
    return path


@pytest.fixture
def configs() -> list[TrainConfig]:
    return []


@pytest.fixture
def train(conf_path: Path, configs: list[TrainConfig]) -> Command:
    """Runs a command that keeps its configs; a seed of 13 is bad input, 14 an interruption by the user."""

    def main(config: TrainConfig, overrides: list[str]) -> None:
        if config.seed == 13:
            raise InputError("seed: 13 is bad luck")
        if config.seed == 14:
            raise KeyboardInterrupt
        configs.append(config)

    def run(*arguments: str) -> int:
        return run_command(main, config_name="train", arguments=arguments, conf_path=conf_path)

    return run


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_without_overrides_the_defaults_arrive_as_plain_containers(
    train: Command, configs: list[TrainConfig], tmp_path: Path
) -> None:
    assert train() == 0
    (config,) = configs
    assert type(config) is TrainConfig
    assert type(config.encoder) is dict
    assert config.softmax == {"type": "probe_component", "size": 3}
    assert config.logger.wandb is WandbMode.auto
    assert config.name is not None
    assert config.name.startswith("language_model-elmo_tiny-sotu-")
    assert config.output_dir is None  # a new directory is made when the run begins
    assert "~" not in config.cache_dir
    assert [path.name for path in tmp_path.iterdir()] == ["conf"]  # Hydra leaves nothing behind


@pytest.mark.parametrize(
    ("overrides", "softmax_size", "max_steps"),
    [
        (["softmax=sampled", "data=text"], 3, None),
        (["experiment=good"], 7, 5),
        (["experiment=good", "softmax.size=9"], 9, 5),
        (["experiment=good", "trainer.max_steps=8", "softmax=adaptive"], 7, 8),
    ],
)
def test_choices_of_the_task_yield_to_experiments_and_both_to_the_command_line(
    train: Command,
    configs: list[TrainConfig],
    overrides: list[str],
    softmax_size: int,
    max_steps: int | None,
) -> None:
    assert train(*overrides) == 0
    (config,) = configs
    assert config.softmax is not None
    assert (config.softmax["size"], config.trainer.max_steps) == (softmax_size, max_steps)


def test_another_task_brings_its_own_groups(train: Command, configs: list[TrainConfig]) -> None:
    assert train("task=sentiment") == 0
    assert (configs[0].softmax, configs[0].batching, configs[0].task["size"]) == (None, None, 2)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("encoder=elmo_tin", "encoder: unknown option 'elmo_tin'; nearest: elmo_tiny"),
        ("encoder=3", "encoder: unknown option '3'; one of: elmo_tiny, word"),
        ("experiment=goood", "experiment: unknown option 'goood'; nearest: good"),
        ("encoder.sise=3", "encoder.sise: unknown key; nearest: size"),
        ("+encoder.sise=3", "encoder.sise: unknown key; nearest: size"),
        ("encoder.size=abc", "encoder.size: expected int, got 'abc' (str)"),
        ("encoder.size=???", "encoder.size: missing; give a value of type int"),
        (
            "encoder.weight=2",
            "encoder.weight: not in the chosen option's file; to add it write +encoder.weight=2",
        ),
        (
            "encoder.type=prob_component",
            "encoder.type: unknown encoder 'prob_component'; nearest: probe_component",
        ),
        ("+trainer.foo=3", "trainer.foo: unknown key; one of: accumulate_batches"),
        ("encoder/word=3", "encoder/word: unknown group; nearest: encoder"),
        ("trainer.max_step=3", "trainer.max_step: unknown key; nearest: max_steps, max_epochs"),
        ("+trainr.max_steps=3", "trainr: unknown key; nearest: trainer"),
        ("+vocabulary={max_siz: 3}", "vocabulary.max_siz: unknown key; nearest: max_size"),
        ("trainer.max_steps=many", "trainer.max_steps: expected int or null, got 'many' (str)"),
        ("trainer.precision=bf17", "trainer.precision: unknown choice 'bf17'; nearest: bf16"),
        ("trainer.batch_size=???", "trainer.batch_size: missing; give a value: trainer.batch_size=..."),
        ("seed=[1", "seed=[1: cannot be read; write key=value, and quote special characters: key='a b'"),
        ("trainer.batch_size=0", "trainer.batch_size: expected at least 1, got 0"),
        ("trainer.clip_norm=0", "trainer.clip_norm: expected more than 0 or null, got 0.0"),
        ("trainer.device=gpu", "trainer.device: expected auto, cpu, cuda, cuda:<number> or mps, got 'gpu'"),
        (
            "trainer.metric=loss",
            "trainer.metric: expected split/quantity, such as dev/perplexity, got 'loss'",
        ),
        (
            "trainer.max_minutes=null",
            "trainer.max_steps: nothing ends the run; set one of max_steps, max_epochs, max_minutes",
        ),
        ("name=a/b", "name: must be a plain directory name, got 'a/b'; output_dir takes a path"),
        ("seed=-1", "seed: expected at least 0, got -1"),
        ("plugins=[absent_plugin]", "plugins: cannot import absent_plugin: ModuleNotFoundError"),
        (
            "experiment=wrong_option",
            "softmax: unknown option 'sampeld'; nearest: sampled (in experiment/wrong_option",
        ),
        ("max_steps=100", "max_steps: unknown key; nearest: trainer.max_steps"),
        ("epochs=3", "epochs: unknown key; nearest: trainer.max_epochs"),
        ("logger.metric=x", "logger.metric: unknown key; nearest: trainer.metric"),
        ("head.size=3", "head.size: there is no head here"),
        ("seed=1,2", "seed: 1,2 is more than one value; add -m to run a job for each"),
        ("encoder=word,elmo_tiny", "encoder: word,elmo_tiny is more than one value; add -m to run"),
        (
            "logger.tags=a,b",
            "logger.tags: a,b is more than one value; write logger.tags=[a,b] for a list, or",
        ),
        ("--seed=3", "--seed=3: unknown option; values are given without dashes: seed=3"),
        ("--multrun", "--multrun: unknown option; nearest: --multirun"),
        ("--experimental-rerun=x", "--experimental-rerun: reads a pickle"),
        ("--resolve", "--resolve: belongs to --cfg job"),
        ("--config-dir=nowhere", "--config-dir: no directory nowhere"),
        ("--info=x", "argument --info/-i: invalid choice: 'x' (choose from "),
        ("+data.language=klingon", "data.language: unknown language 'klingon'; give a code of ISO 639"),
        ("cache_dir=/proc/x", "cache_dir: /proc/x: cannot be written (No such file or directory); give a"),
        ("cache_dir=/dev/full", "cache_dir: /dev/full: cannot be written (File exists); give a directory"),
        ("cache_dir=/dev/full/x", "cache_dir: /dev/full/x: cannot be written (Not a directory); give a"),
        (
            "cache_dir='~nobody_here'",
            "cache_dir: ~nobody_here: the home directory is unknown; give a directory",
        ),
        ("cache_dir=${oc.env:ELMO_ABSENT}", "cache_dir: KeyError raised while resolving interpolation"),
        ("name=${nam}", "name: Interpolation key 'nam' not found"),
    ],
)
def test_each_fault_of_the_command_line_is_one_line(
    train: Command, configs: list[TrainConfig], capsys: pytest.CaptureFixture[str], override: str, line: str
) -> None:
    assert train(override) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(line)
    assert configs == []


def test_many_faults_are_said_at_once_and_sorted(train: Command, capsys: pytest.CaptureFixture[str]) -> None:
    faulty = [
        "seed=x",
        "encoder.sise=3",
        "softmax=sampeld",
        "+foo=1",
        "trainer.precision=fp3",
        "task.weigh=1",
    ]
    assert train(*faulty) == 2
    keys = [line.split(":")[0] for line in capsys.readouterr().err.splitlines()]
    assert keys == ["encoder.sise", "foo", "seed", "softmax", "task.weigh", "trainer.precision"]


def test_typos_in_an_experiment_are_found_and_its_file_named(
    train: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("experiment=bad", "seed=x") == 2
    assert capsys.readouterr().err.splitlines() == [
        "seed: expected int, got 'x' (str)",
        "trainer.batch_size: expected int, got 'many' (str) (in experiment/bad.yaml)",
        "trainer.max_step: unknown key; nearest: max_steps, max_epochs (in experiment/bad.yaml)",
        "trainr: unknown key; nearest: trainer (in experiment/bad.yaml)",
    ]


def test_hydras_own_options_may_stand_anywhere(
    train: Command, configs: list[TrainConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "mine" / "experiment" / "own.yaml", "# @package _global_\ntrainer: {max_steps: 3}\n")
    options = ["--config-dir", str(tmp_path / "mine")]
    assert train("seed=1,2", *options, "experiment=own", "-m", "name=anywhere") == 0
    assert [(config.seed, config.trainer.max_steps) for config in configs] == [(1, 3), (2, 3)]
    assert train("seed=1", "-m", "--cfg", "job") == 2
    assert capsys.readouterr().err.startswith("--run, --multirun, --cfg, --info, --shell-completion: give")


def test_a_users_own_options_and_the_faults_in_them_are_known(
    train: Command, configs: list[TrainConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "mine" / "encoder" / "own_encoder.yaml", "type: probe_component\nsize: 5\n")
    typos = "# @package _global_\ndefaults:\n  - override /encoder: own_encoder\ntrainer: {max_stepz: 3}\n"
    write(tmp_path / "mine" / "experiment" / "own.yaml", f"{typos}learning_rate: 3\noptimizer: {{size: 4}}\n")
    option = f"--config-dir={tmp_path / 'mine'}"
    assert train(option, "encoder=own_encoder", "seed=x") == 2
    assert capsys.readouterr().err == "seed: expected int, got 'x' (str)\n"
    assert train(option, "experiment=own") == 2
    assert [line.partition(";")[0] for line in capsys.readouterr().err.splitlines()] == [
        "learning_rate: unknown key",
        "trainer.max_stepz: unknown key",
    ]
    assert train(option, "encoder=own_encodr") == 2
    assert capsys.readouterr().err == "encoder: unknown option 'own_encodr'; nearest: own_encoder\n"
    assert train(option, "encoder=own_encoder") == 0
    assert configs[0].encoder["size"] == 5


def test_a_users_option_that_would_not_be_taken_is_refused(
    train: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "mine" / "encoder" / "elmo_tiny.yaml"
    write(own, "type: probe_component\nsize: 5\n")
    assert train(f"--config-dir={tmp_path / 'mine'}", "encoder=elmo_tiny") == 2
    assert capsys.readouterr().err.endswith(
        "elmo_tiny.yaml: the project's own option of this name would be taken; rename the file\n"
    )


def test_a_group_that_the_task_has_not_is_refused(train: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("task=sentiment", "softmax=sampled") == 2
    assert capsys.readouterr().err == "softmax: the chosen task has no group of this name\n"


def test_broken_yaml_is_named_with_its_line(
    train: Command, conf_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(conf_path / "experiment" / "broken.yaml", "# @package _global_\nseed: 1\n  name: x\n")
    assert train("experiment=broken") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "experiment/broken.yaml" in line
    assert ":3: not valid YAML" in line


def test_a_sweep_gives_each_job_its_directory_and_one_failure_stops_no_other(
    train: Command, configs: list[TrainConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("-m", "seed=1,13,2", "softmax=sampled", "name=sweep") == 2
    assert [(config.seed, config.output_dir) for config in configs] == [
        (1, "runs/sweep-0"),
        (2, "runs/sweep-2"),
    ]
    assert "job 1 (seed=13 softmax=sampled name=sweep): seed: 13 is bad luck" in capsys.readouterr().err


def test_a_sweep_where_nothing_can_be_written_is_one_line(
    train: Command, configs: list[TrainConfig], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for place in ("/proc/sweeps", "conf/train.yaml"):
        assert train("-m", "seed=1,2", f"hydra.sweep.dir={place}/mine") == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"hydra.sweep.dir: {place}")
        assert "cannot be written" in line
    assert configs == []


def test_a_sweep_with_a_fault_in_any_job_starts_none(
    train: Command, configs: list[TrainConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("-m", "seed=1,x", "encoder=word,wrd", "experiment=good") == 2
    assert capsys.readouterr().err.splitlines() == [
        "encoder: unknown option 'wrd'; nearest: word",
        "seed: expected int, got 'x' (str)",
    ]
    assert configs == []


def test_bad_input_in_a_run_is_one_line_and_an_interruption_is_130(
    train: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("seed=13") == 2
    assert capsys.readouterr().err == "seed: 13 is bad luck\n"
    assert train("seed=14") == 130


def test_saved_configs_are_plain_yaml(train: Command, configs: list[TrainConfig], tmp_path: Path) -> None:
    assert train("experiment=good", "logger=none") == 0
    save_resolved(configs[0], tmp_path / "config.yaml")
    saved: Any = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert saved["logger"]["wandb"] == "disabled"
    assert saved["softmax"] == {"type": "probe_component", "size": 7}
    values = read_saved(tmp_path / "config.yaml").values
    merged = OmegaConf.merge(OmegaConf.structured(TrainConfig), values)
    assert OmegaConf.to_object(merged) == dataclasses.replace(configs[0], name=None)
    save_overrides(["experiment=good", "logger=none"], tmp_path / "overrides.yaml")
    assert yaml.safe_load((tmp_path / "overrides.yaml").read_text()) == ["experiment=good", "logger=none"]
