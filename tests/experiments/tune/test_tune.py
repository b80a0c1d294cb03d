"""`experiments.tune`: a study of real tiny trainings, what it leaves, and what is refused before it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_trials import Launch, run_of
from hydra import compose
from tiny_runs import arguments_of, write_data

import experiments
from experiments.config.command import CONF_PATH
from experiments.config.compose import search_path
from experiments.io.run_record import read_run
from experiments.sweep.launchers.launcher import Ended
from experiments.sweep.record import read_sweep
from experiments.tune.__main__ import command

NAME = "text_classification, words"
SEARCH = """# @package _global_
question: Which rate?
trials: 3
base:
{base}
space:
  optimizer.learning_rate: tag(log,interval(1e-3,1e-1))
  head: choice(pooled,bilstm)
  head.hidden_size: {{when: head=bilstm, value: "int(interval(4,8))"}}
"""
TUNE = "experiments.tune.tune"
Command = Callable[..., int]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with data and with the searches `tiny` and, with a fault in it, `wrong`."""
    home = tmp_path_factory.mktemp("home")
    (home / "data").mkdir()
    files = write_data(home / "data")
    given = arguments_of(NAME, home / "run", files)
    skipped = ("output_dir=", "head", "optimizer.learning_rate=", "trainer.num_threads=")
    base = dict(text.partition("=")[::2] for text in given if not text.startswith(skipped))
    text = SEARCH.format(base="".join(f"  {key}: {value}\n" for key, value in base.items()).rstrip())
    (home / "conf" / "search").mkdir(parents=True)
    (home / "conf" / "search" / "tiny.yaml").write_text(text)
    (home / "conf" / "search" / "wrong.yaml").write_text(text.replace("trials: 3", "trails: 3"))
    return home


@pytest.fixture
def tuned(home: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command in its own directory, with the searches of the fixture above."""
    monkeypatch.chdir(home)

    def tuned(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["tune", "--config-dir=conf", *arguments])
        return command()

    return tuned


@pytest.fixture
def faked(tuned: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command with the search `tiny` and a made-up training, whose score is the rate."""
    made_up = run_of(lambda values: [float(values["optimizer.learning_rate"])])

    def faked(launch: Launch, *arguments: str) -> int:
        monkeypatch.setattr(f"{TUNE}.LocalLauncher", lambda jobs: launch)
        monkeypatch.setattr(f"{TUNE}.run_trial", made_up)
        monkeypatch.setattr(f"{TUNE}.draw_study", lambda path, study, metric: None)
        return tuned("search=tiny", *arguments)

    return faked


def test_a_study_of_real_trainings_leaves_its_trials_record_pictures_and_best_values(
    tuned: Command, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert tuned("search=tiny", "workers=2", "pruner=none") == 0
    out, err = capfd.readouterr()
    assert err == ""
    study = home / "runs" / "tiny"
    record = read_sweep(study)
    assert (record.kind, record.question) == ("study", "Which rate?")
    assert [job.name for job in record.jobs] == ["trial-0000", "trial-0001", "trial-0002"]
    for job in record.jobs:
        run = read_run(study / job.name)
        assert (job.state, run.state) == ("complete", "finished")
        assert job.value == run.figures["dev/accuracy"]
        assert f"optimizer.learning_rate={run.config['optimizer']['learning_rate']!r}" in job.overrides
        assert job.axes["head"] == run.config["head"]["type"]
        assert run.config["trainer"]["num_threads"] >= 1
        assert run.config["logger"]["group"] == "tiny"
        assert "dev/accuracy" in (study / job.name / "output.log").read_text()
    for name in ("history", "slices"):
        assert (study / "plots" / f"{name}.png").stat().st_size > 1000
        assert "plotly.min.js" in (study / "plots" / f"{name}.html").read_text()
    assert (study / "plots" / "plotly.min.js").is_file()
    best = max(record.jobs, key=lambda job: job.value or 0.0)
    assert f"best: {best.name} of the study tiny: dev/accuracy" in out
    assert "3 trials: 3 complete" in out
    with search_path(CONF_PATH, str(study)):
        config = compose("train", overrides=["experiment=best"])
    run = read_run(study / best.name)
    assert config.optimizer.learning_rate == run.config["optimizer"]["learning_rate"]
    assert (config.head.type, config.data.train) == (run.config["head"]["type"], run.config["data"]["train"])
    again = experiments.run(
        [f"--config-dir={study}", "experiment=best", f"output_dir={home / 'again'}", "trainer.num_threads=1"]
    )
    assert again["dev/accuracy"] == pytest.approx(best.value)


def test_ctrl_c_in_the_middle_loses_nothing_and_the_same_command_goes_on(
    faked: Command, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert faked(Launch(interrupt_at=2), "name=stopped") == 130
    out, err = capsys.readouterr()
    assert "stopped  trial-0001; it goes on when the study does" in out
    assert "1 trials: 1 complete" in out
    assert err == "stopped by SIGINT; the same command goes on up to 3 trials\ninterrupted\n"
    assert faked(Launch(), "name=stopped") == 0
    assert "study stopped: 1 of 3 trials are done" in capsys.readouterr().out
    assert [job.state for job in read_sweep(home / "runs" / "stopped").jobs] == ["complete"] * 3
    launch = Launch()
    assert faked(launch, "name=stopped") == 0  # there is nothing left to do
    assert launch.started == []
    assert faked(Launch(), "name=stopped", "head=pooled", "task.dropout=0.1,0.2") == 2
    assert capsys.readouterr().err.startswith(
        "space.head, space.task.dropout: not what the study stopped began"
    )


def test_a_storage_that_goes_in_the_middle_is_one_line(
    faked: Command, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = home / "runs" / "gone" / "study.db"

    class Remover(Launch):
        def wait(self, seconds: float) -> list[Ended]:
            study.unlink(missing_ok=True)
            return super().wait(seconds)

    assert faked(Remover(), "name=gone") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("storage=sqlite:///runs/gone/study.db: ")


def test_a_directory_of_a_run_and_a_missing_extra_are_a_line(
    faked: Command, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "runs" / "taken").mkdir(parents=True)
    (home / "runs" / "taken" / "config.yaml").touch()
    assert faked(Launch(), "name=taken") == 2
    assert capsys.readouterr().err == "runs/taken: holds a run or a sweep; give the study another name=...\n"
    monkeypatch.setattr("experiments.tune.__main__.find_spec", lambda name: None)
    assert faked(Launch(), "name=taken") == 2
    assert capsys.readouterr().err == (
        "not installed: optuna, cmaes, plotly; run: pip install -e '.[tune]'\n"
    )


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ([], "search: nothing is searched; choose a file, search=NAME, or give several values"),
        (["seed=1,2"], "name: missing; a study without a file needs one, to go on by it: name=..."),
        (["search=tiny", "-m"], "--multirun: a search runs many trials anyway; leave it out"),
        (["search=tny"], "search: unknown option 'tny'; nearest: tiny"),
        (["search=wrong"], "trails: unknown key; nearest: trials (in search/wrong.yaml)"),
        (["search=tiny", "trials=0"], "trials: expected at least 1, got 0"),
        (["search=tiny", "sampler=tpee"], "sampler: unknown option 'tpee'; nearest: tpe"),
        (
            ["search=tiny", "sampler=cmaes"],
            "sampler: cmaes searches numbers, at least 2 without a condition, and the space has 1",
        ),
        (
            ["search=tiny", "optimizer.learning_rat=interval(0,1)"],
            "optimizer.learning_rat: unknown key; nearest: learning_rate",
        ),
        (
            ["search=tiny", "head=bilstm,cnnn"],
            "head: unknown option 'cnnn'; nearest: cnn",
        ),
        (
            ["search=tiny", "task.dropout=interval(0,2)"],
            "task.dropout: expected at least 0 and",
        ),
        (
            ["search=tiny", "output_dir=mine"],
            "output_dir: belongs to a single run; a study gives each trial its own",
        ),
        (["search=tiny", "++base.head=cnn"], "space.head: is in base as well; leave one of them out"),
        (
            ["search=tiny", "trainer.max_step=2"],
            "trainer.max_step: unknown key; nearest: max_steps",
        ),
        (
            ["search=tiny", "trainer.metric=dev/accuracy,dev/macro_f1"],
            "trainer.metric: the trials would have several (dev/accuracy, dev/macro_f1)",
        ),
    ],
)
def test_a_fault_is_a_line_before_the_first_trial(
    arguments: list[str], fault: str, tuned: Command, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted((home / "runs").glob("*")) if (home / "runs").is_dir() else []
    assert tuned(*arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(fault)
    assert before == (sorted((home / "runs").glob("*")) if (home / "runs").is_dir() else [])
