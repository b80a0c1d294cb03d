"""A run comes again bit for bit from its record alone, resumed or not; what cannot is told in a line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_runs import arguments_of, write_data

from experiments import rerun, train
from experiments.config.command import run_command
from experiments.config.single_job import run_job
from experiments.training.trainer import Trainer

PRETRAINING = "language_model, stream, adaptive"
NAMES = (PRETRAINING, "text_classification, standardized", "question_answering, words")
SHORT = ["trainer.max_steps=6", "trainer.evaluate_every=4"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def pretraining(runs: Path, files: dict[str, Path]) -> Path:
    """A run for tests that leave it as it is."""
    assert start(runs / "pretraining", files) == 0
    return runs / "pretraining"


@pytest.fixture
def copied(pretraining: Path, tmp_path: Path) -> Path:
    """A run to change; its data stays where it was."""
    return Path(shutil.copytree(pretraining, tmp_path / "copied", symlinks=True))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


def start(directory: Path, files: dict[str, Path], *overrides: str, name: str = PRETRAINING) -> int:
    arguments = [*arguments_of(name, directory, files), *SHORT, *overrides]
    return run_command(train.main, config_name="train", arguments=arguments)


def again(directory: Path, *overrides: str) -> int:
    arguments = [f"run={directory}", "progress=none", *overrides]
    return run_command(rerun.main, config_name="rerun", arguments=arguments)


def refusal(directory: Path, capsys: pytest.CaptureFixture[str], *overrides: str) -> str:
    """The one line of a repetition that is refused before it leaves anything."""
    assert again(directory, *overrides) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert not list(Path().rglob("*.json*"))
    return line


@pytest.mark.parametrize("name", NAMES)
def test_a_run_comes_again_bit_for_bit(
    name: str, runs: Path, files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run = runs / name.replace(", ", "-").replace(" ", "-")
    assert start(run, files, "schedule=cosine", name=name) == 0
    assert again(run) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("equal: all ")
    assert lines[-1].endswith(f"events of {run} came again, bit for bit, in runs/{run.name}-rerun")
    starts = json.loads(Path(f"runs/{run.name}-rerun/environment.json").read_text())["starts"]
    assert [each["threads"] for each in starts] == [1]


def test_a_run_that_was_stopped_and_resumed_with_other_values_comes_again(
    runs: Path, files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    def stop_after_3(trainer: Trainer) -> None:
        trainer.pause_step = 3

    run = runs / "resumed"
    arguments = [*arguments_of(PRETRAINING, run, files), *SHORT, "schedule=cosine"]
    with pytest.raises(KeyboardInterrupt):  # as Ctrl-C would
        run_job(
            lambda config, overrides: train.train(config, overrides, on_start=stop_after_3),
            config_name="train",
            arguments=arguments,
        )
    for overrides in (
        ["trainer.max_steps=9", "schedule.final_factor=0.2"],  # goes on from step 3 on another schedule
        ["trainer.max_steps=11", "trainer.log_every=2", "trainer.patience=null"],
    ):
        arguments = [f"resume={run}", *overrides]
        assert run_command(train.main, config_name="train", arguments=arguments) == 0
    steps = [each["step"] for each in json.loads((run / "environment.json").read_text())["starts"]]
    assert steps == [0, 3, 9]
    capsys.readouterr()
    assert again(run) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("equal: ")
    repeated = json.loads(Path("runs/resumed-rerun/environment.json").read_text())["starts"]
    assert [each["step"] for each in repeated] == steps


def test_a_run_that_time_ended_comes_again_with_its_steps(
    runs: Path, files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run = runs / "timed"
    assert start(run, files, "trainer.max_steps=null", "trainer.max_minutes=0.005") == 0
    steps = json.loads((run / "metrics.json").read_text())["train/steps"]
    capsys.readouterr()
    assert again(run) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        f"trainer.max_minutes limited the run; it is repeated with trainer.max_steps={steps}, where it ended"
    )
    assert lines[-1].startswith("equal: ")


def test_figures_that_differ_come_first_and_then_what_else_does(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = json.loads((copied / "metrics.json").read_text())
    (copied / "metrics.json").write_text(json.dumps({**figures, "test/perplexity": 1.5, "seconds": 1e6}))
    events = (copied / "metrics.jsonl").read_text().splitlines()
    events[0] = json.dumps({**json.loads(events[0]), "num_threads": 2})
    events[3] = json.dumps({**json.loads(events[3]), "train/gradient_norm": 0.5})
    (copied / "metrics.jsonl").write_text("".join(f"{event}\n" for event in events))
    record = json.loads((copied / "environment.json").read_text())
    record["starts"][-1]["packages"]["torch"] = "0.1"
    (copied / "environment.json").write_text(json.dumps(record))
    assert again(copied) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("the run had 1 to 2 threads, as trainer.num_threads was not given; ")
    first = next(i for i, line in enumerate(lines) if line.startswith("differs: "))
    assert (
        lines[first].startswith("differs: 1 of ")
        and "first train/gradient_norm at step 4: 0.5 in" in lines[first]
    )
    rest = [line.split("  ")[0] for line in lines[first + 1 :] if line]
    assert rest == ["figure", "test/perplexity", "what else differs", "package torch"]


def test_data_that_has_changed_or_gone_is_told_before_any_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    files = write_data(own)
    run = tmp_path / "run"
    assert start(run, files) == 0
    capsys.readouterr()
    text = files["test_text"].read_text()
    files["test_text"].write_text(text + "one more line\n")
    changed = f"run={run}: data.test: test_text.txt is not the file that the run read: its content differs"
    assert refusal(run, capsys) == changed
    files["test_text"].unlink()
    gone = f"run={run}: data.test: what the run read is not there any more ({files['test_text']})"
    assert refusal(run, capsys) == gone


def test_a_split_that_another_package_or_tokenizer_has_made_is_told_before_any_training(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads((copied / "environment.json").read_text())
    record["starts"][-1]["data_fingerprints"]["dev"] = "0" * 32
    (copied / "environment.json").write_text(json.dumps(record))
    line = refusal(copied, capsys)
    assert line.startswith(f"run={copied}: the dev split of the data is not the one that the run read")


def without_figures(run: Path) -> None:
    (run / "metrics.json").unlink()


def failed(run: Path) -> None:
    without_figures(run)
    (run / "failure.json").write_text(json.dumps({"reason": "out of memory", "exit_code": 137}))


def without_record(run: Path) -> None:
    (run / "environment.json").unlink()


def of_an_earlier_version(run: Path) -> None:
    (run / "environment.json").write_text(json.dumps({"command": "python", "seed": 1}))


def of_a_later_version(run: Path) -> None:
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("trainer:\n", "trainer:\n  warp: 9\n"))
    record = json.loads((run / "environment.json").read_text())
    record["starts"][0]["config"]["trainer"]["warp"] = 9
    (run / "environment.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (without_figures, "the run has no final figures yet; resume="),
        (failed, "the run failed (out of memory); only one that has ended is repeated"),
        (without_record, "its record is missing, or of an earlier version (environment.json with every"),
        (
            of_an_earlier_version,
            "its record is missing, or of an earlier version (environment.json with every",
        ),
        (of_a_later_version, "'warp' not in 'TrainerConfig'"),
        (shutil.rmtree, "no run is there (no config.yaml)"),
    ],
)
def test_a_run_that_cannot_be_repeated_is_told_in_a_line(
    copied: Path, capsys: pytest.CaptureFixture[str], change: Callable[[Path], None], fault: str
) -> None:
    change(copied)
    assert fault in refusal(copied, capsys)


def test_another_run_is_never_written_over(pretraining: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(pretraining, capsys, f"output_dir={pretraining}")
    assert line == f"output_dir={pretraining}: holds another run; give another output_dir"
