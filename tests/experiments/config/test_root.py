"""Runs as the roots of other commands: repeated, resumed with a whole command, scored on changed data."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from tiny_runs import arguments_of, write_data

from elmo.files import file_lock
from experiments import evaluate, train
from experiments.config.command import run_command
from experiments.config.resume import place_run
from experiments.config.save import plain_config, read_saved
from experiments.config.schema import TrainConfig

TEXTS = "text_classification, words"
Compose = Callable[..., TrainConfig]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the data, in which the run was begun."""
    path = tmp_path_factory.mktemp("begun")
    write_data(path)
    return path


@pytest.fixture(scope="module")
def command(begun: Path) -> list[str]:
    """The command of a run of three steps, with relative paths of its data."""
    files = {name: Path(f"{name}.csv") for name in ("train", "dev", "test")}
    arguments = arguments_of(TEXTS, begun / "first", files)
    return [*arguments, "data.test=[test.csv]", "trainer.max_steps=3", "trainer.evaluate_every=2"]


@pytest.fixture(scope="module")
def run(begun: Path, command: list[str]) -> Path:
    """The run of that command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(begun)
        assert run_command(train.main, config_name="train", arguments=command) == 0
    return begun / "first"


@pytest.fixture
def composed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compose:
    """The config that a training command gives its run, in another working directory; nothing is trained."""
    monkeypatch.chdir(tmp_path)

    def compose(*arguments: str) -> TrainConfig:
        configs = []

        def main(config: TrainConfig, overrides: list[str]) -> None:
            configs.append(place_run(config))

        assert run_command(main, config_name="train", arguments=arguments) == 0
        return configs[-1]

    return compose


def values_of(config: TrainConfig) -> dict[str, Any]:
    return {**plain_config(config), "name": None, "output_dir": None, "resume": None}


def test_a_run_is_repeated_by_its_config_from_any_directory(run: Path, composed: Compose) -> None:
    saved = read_saved(run / "config.yaml").values
    assert saved["data"]["train"] == str(run.parent / "train.csv")
    assert saved["data"]["test"] == [str(run.parent / "test.csv")]
    root = ["--config-path", str(run), "--config-name", "config"]
    assert values_of(composed(*root)) == saved
    longer = values_of(composed(*root, "trainer.max_steps=9", "head=bilstm", "head.hidden_size=4"))
    assert (longer["trainer"]["max_steps"], longer["head"]["type"]) == (9, "bilstm")
    assert longer["data"] == saved["data"]


def test_a_runs_config_is_an_experiment_as_it_stands(run: Path, composed: Compose, tmp_path: Path) -> None:
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    shutil.copy(run / "config.yaml", tmp_path / "mine" / "experiment" / "again.yaml")
    again = composed(f"--config-dir={tmp_path / 'mine'}", "experiment=again")
    assert values_of(again) == read_saved(run / "config.yaml").values


def test_what_cfg_job_prints_composes_again(
    composed: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["experiment=sst2_word", "seed=7", "data.train=a.tsv", "trainer.max_steps=3"]
    for resolve in ([], ["--resolve"]):
        arguments = ["--cfg", "job", *resolve, *command]
        assert run_command(train.main, config_name="train", arguments=arguments) == 0
        (tmp_path / "experiment").mkdir(exist_ok=True)
        (tmp_path / "experiment" / "shown.yaml").write_text(capsys.readouterr().out)
        wanted = values_of(composed(*command))
        assert values_of(composed("--config-path=experiment", "--config-name=shown")) == wanted
        assert values_of(composed("--config-dir=.", "experiment=shown")) == wanted


def test_a_requeued_job_repeats_its_whole_command(
    run: Path, command: list[str], composed: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.parent)
    again = composed(*command, f"resume={run}", "init_from=null", "logger=offline", "seed=1")
    assert (again.resume, again.output_dir) == (str(run), str(run))
    assert again.logger.wandb.value == "offline"
    assert values_of(again)["head"] == read_saved(run / "config.yaml").values["head"]


@pytest.mark.parametrize(
    ("override", "own"),
    [
        ("head=cnn", "head: a resumed run keeps its own (pooled)"),
        ("head.layer_normed=true", "head.layer_normed: a resumed run keeps its own (False)"),
        ("seed=2", "seed: a resumed run keeps its own (1)"),
        ("task=sentiment", "task: a resumed run keeps its own (text_classification)"),
        ("experiment=sst2_word", "experiment: a resumed run keeps its own (none)"),
        ("trainer.batch_size=5", "trainer.batch_size: a resumed run keeps its own (4)"),
        ("init_from=elsewhere", "init_from: a resumed run keeps its own (None)"),
        ("output_dir=elsewhere", "output_dir: a resumed run keeps its own ("),
        ("name=elsewhere", "name: a resumed run keeps its own (first)"),
        ("data.trian=x", "data.trian: unknown key; nearest: train"),
    ],
)
def test_a_resumed_run_refuses_other_values(
    run: Path, capsys: pytest.CaptureFixture[str], override: str, own: str
) -> None:
    arguments = [f"resume={run}", override]
    assert run_command(train.main, config_name="train", arguments=arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(own)


def test_a_resumed_run_finds_its_data_where_it_is_or_where_it_has_gone(
    run: Path, composed: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run, tmp_path / "run", symlinks=True)
    more = [f"resume={tmp_path / 'run'}", "trainer.max_steps=4"]
    assert run_command(train.main, config_name="train", arguments=more) == 0  # from another directory
    shutil.copy(run.parent / "train.csv", tmp_path / "moved.csv")
    more = [f"resume={tmp_path / 'run'}", "trainer.max_steps=5", "data.train=moved.csv"]
    assert run_command(train.main, config_name="train", arguments=more) == 0
    saved = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert saved["data"]["train"] == str(tmp_path / "moved.csv")
    (tmp_path / "moved.csv").write_text("text,label\n" + "other words,good\nother words,bad\n" * 9)
    assert run_command(train.main, config_name="train", arguments=more) == 2
    assert "the train data is not what the run began with" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [1", "mine.yaml: cannot be read as a config (while parsing"),
        ("[" * 5000, "mine.yaml: cannot be read as a config (maximum recursion"),
        ("# @package _global_\nseed: !!python/object/apply:os.getcwd []\n", "mine.yaml: cannot be read as a"),
        ("3", "mine.yaml: cannot be read as a config ("),
        ("seed: 3\n", "mine.yaml: neither the config of a run nor a root; its defaults have to"),
        ("# @package _global_\ndefaults: [train]\n", "mine.yaml: not the config of a run ('train' in its"),
        ("defaults: [_self_]\nseed: 3\n", "defaults: a root of your own has to begin with a schema"),
    ],
)
def test_a_file_that_is_no_root_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str,
    line: str,
) -> None:
    monkeypatch.chdir(tmp_path)  # a root that is not ours has a directory of Hydra's own
    (tmp_path / "mine.yaml").write_text(text)
    arguments = ["--config-path", str(tmp_path), "--config-name", "mine"]
    assert run_command(train.main, config_name="train", arguments=arguments) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.removeprefix(f"{tmp_path}/").startswith(line)


def test_evaluate_changes_a_part_of_the_runs_own_data(
    run: Path, composed: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.csv").write_text("text,label\nw0 sun w1,good\nrain w1,bad\nw2 w3,bad\n")
    common = [f"run={run}", f"cache_dir={run.parent / 'cache'}", "progress=none"]

    def evaluated(*overrides: str) -> int:
        return run_command(evaluate.main, config_name="evaluate", arguments=[*common, *overrides])

    assert evaluated("output=own.json") == 0
    assert evaluated("data.test=other.csv", "output=other.json") == 0
    own, other = (yaml.safe_load((tmp_path / f"{name}.json").read_text()) for name in ("own", "other"))
    assert (own["test/texts"], other["test/texts"]) == (12, 3)
    capsys.readouterr()
    assert evaluated("data.heldout=other.csv") == 2
    assert capsys.readouterr().err.startswith("data.heldout: unknown key; one of: ")
    common[0] = f"run={tmp_path}"
    assert evaluated("data.test=other.csv") == 2
    assert capsys.readouterr().err.startswith("data.test: there is no data here; choose one: data=")


def test_a_sweep_goes_on_with_several_runs(run: Path, composed: Compose, tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(run, tmp_path / name, symlinks=True)
    last = composed("-m", f"resume={tmp_path / 'one'},{tmp_path / 'two'}", "trainer.max_steps=5")
    assert (last.resume, last.trainer.max_steps) == (str(tmp_path / "two"), 5)
    assert last.data["train"] == str(run.parent / "train.csv")


def test_a_run_of_an_earlier_version_goes_on(run: Path, composed: Compose, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "old", symlinks=True)
    saved = read_saved(run / "config.yaml").values
    (tmp_path / "old" / "config.yaml").write_text(yaml.safe_dump({**saved, "output_dir": "x", "name": "x"}))
    again = composed(f"resume={tmp_path / 'old'}", "trainer.max_steps=5")
    assert (again.output_dir, again.head) == (str(tmp_path / "old"), saved["head"])


def test_resume_auto_goes_on_or_begins_anew(
    run: Path, command: list[str], composed: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [f"data.{name}={run.parent}/{name}.csv" for name in ("train", "dev")]
    files.append(f"data.test=[{run.parent}/test.csv]")
    unnamed = [*(text for text in command if not text.startswith("output_dir=")), *files, "resume=auto"]

    def automatic(*overrides: str) -> tuple[str | None, str | None, str]:
        config = composed(*unnamed, *overrides)
        return config.resume, config.output_dir, capsys.readouterr().out.splitlines()[-1]

    resumed, place, line = automatic("output_dir=runs/mine")
    assert (resumed, place) == (None, "runs/mine")
    assert line == "resume=auto: no checkpoint of this command's run; begins anew in runs/mine"
    shutil.copytree(run, "runs/mine", symlinks=True)
    assert automatic("output_dir=runs/mine") == (
        "runs/mine",
        "runs/mine",
        "resume=auto: goes on with runs/mine",
    )
    assert automatic("name=mine")[0] == "runs/mine"
    shutil.rmtree("runs/mine/checkpoints")
    assert automatic("name=mine")[0] is None


def test_resume_auto_takes_the_newest_run_of_the_same_config_whatever_its_name(
    run: Path, command: list[str], composed: Compose, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [f"data.{name}={run.parent}/{name}.csv" for name in ("train", "dev")]
    files.append(f"data.test=[{run.parent}/test.csv]")
    unnamed = [*(text for text in command if not text.startswith("output_dir=")), *files, "resume=auto"]
    cache = read_saved(run / "config.yaml").values["cache_dir"]

    def automatic(*overrides: str) -> tuple[str | None, str]:
        config = composed(*unnamed, f"cache_dir={cache}", *overrides)
        return config.resume, capsys.readouterr().out.splitlines()[-1]

    nothing = "resume=auto: no checkpoint of a run of this config in runs"
    resumed, line = automatic()
    assert resumed is None and line.startswith(f"{nothing}; begins anew in runs/text_classification-")
    for age, name in enumerate(("newest", "old", "older")):
        shutil.copytree(run, f"runs/{name}", symlinks=True)
        os.utime(f"runs/{name}/overrides.yaml", (1e9 - age, 1e9 - age))
    assert automatic() == ("runs/newest", "resume=auto: goes on with runs/newest")
    # Where it is computed and what is shown of it is of no matter, and told; the order on the line neither.
    told = "resume=auto: goes on with runs/newest (trainer.num_threads was 1, trainer.keep_checkpoints was 2)"
    assert automatic("trainer.keep_checkpoints=5", "trainer.num_threads=null") == ("runs/newest", told)
    near = f"{nothing} (runs/newest differs in trainer.max_steps, and resume=runs/newest takes it); begins "
    resumed, line = automatic("trainer.max_steps=9")
    assert resumed is None and line.startswith(near)
    resumed, line = automatic("seed=2")
    assert resumed is None and line.startswith(f"{nothing}; begins anew in ")
    with file_lock(Path("runs/newest/.lock")):
        assert automatic()[0] == "runs/old"
    for name in ("newest", "old", "older"):
        os.utime(f"runs/{name}/overrides.yaml", (1, 1))
    assert automatic()[0] == "runs/older"  # the last by name
    Path("runs/older/config.yaml").write_text("{")
    assert automatic()[0] == "runs/old"


def test_two_runs_that_begin_in_the_same_second_have_directories_of_their_own(
    composed: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.config.command.time.strftime", lambda form: "20260101-000000")
    places = [composed().output_dir for _ in range(3)]
    name = "runs/language_model-elmo_tiny-sotu-20260101-000000"
    assert places == [name, f"{name}-2", f"{name}-3"]
