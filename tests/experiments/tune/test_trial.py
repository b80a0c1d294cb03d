"""A trial's process tells the study what became of its run."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_trials import make_study
from tiny_runs import arguments_of, write_data

from experiments import train
from experiments.config.command import BAD_INPUT, INTERRUPTED
from experiments.io.run_record import read_run
from experiments.tune.study import Study
from experiments.tune.trial import run_trial

PRUNER = {"type": "median", "num_startup_trials": 1, "num_warmup_evaluations": 0}


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A study with a trial of the best possible scores."""
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    study = make_study(tmp_path, entries={"optimizer.learning_rate": "choice(0.01)"}, pruner=PRUNER)
    trial = study.optuna.ask()
    trial.report(100.0, 1)
    study.optuna.tell(trial, 100.0)
    return study


def run(study: Study, *arguments: str) -> tuple[int, Any]:
    """The exit code of the next trial's process, and what the study knows of it."""
    trial = study.next()
    assert trial is not None
    code = run_trial([study.url, study.name, str(trial.trial_id), study.pruner_node, *arguments])
    return code, study.trials()[-1]


def test_a_run_that_falls_behind_ends_with_a_checkpoint_and_is_pruned(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = write_data(tmp_path)
    given = arguments_of("text_classification, words", tmp_path / "run", files)
    code, trial = run(study, *given, "resume=auto", "trainer.max_steps=9", "trainer.evaluate_every=3")
    assert (code, trial.state, trial.num_evaluations) == (0, "pruned", 1)
    assert "stopped by its pruner after step 3" in capsys.readouterr().err
    record = read_run(tmp_path / "run")
    assert record.state == "unfinished"
    assert record.starts[0]["command"].startswith("python -m experiments.train task=text_classification")
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert (last["step"], last["dev/accuracy"]) == (3, trial.value)
    assert (tmp_path / "run" / "checkpoints" / "last" / "state.json").is_file()


def raising(error: BaseException) -> Callable[..., float]:
    def main(*given: object, **named: object) -> float:
        raise error

    return main


@pytest.mark.parametrize(
    ("main", "reason"),
    [
        (lambda *given, **named: math.nan, "the objective is nan: no number to compare"),
        (lambda *given, **named: None, "the objective is missing: no number to compare"),
    ],
)
def test_a_run_without_a_number_fails_with_its_reason(
    main: Any, reason: str, study: Study, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(train, "main", main)
    code, trial = run(study, f"cache_dir={tmp_path}", "logger=none")
    assert (code, trial.state, trial.reason) == (BAD_INPUT, "failed", reason)


def test_what_is_no_fault_of_the_values_ends_the_process_and_the_study_hears_of_it_from_the_search(
    study: Study, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(train, "main", raising(torch.OutOfMemoryError("CUDA out of memory.")))
    with pytest.raises(torch.OutOfMemoryError):
        run(study, f"cache_dir={tmp_path}", "logger=none")
    assert study.trials()[-1].state == "running"


def test_a_fault_of_the_values_fails_the_trial_with_the_line(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    code, trial = run(study, "data=text", "trainer.max_step=3")
    assert (code, trial.reason) == (
        BAD_INPUT,
        "trainer.max_step: unknown key; nearest: max_steps, max_epochs",
    )
    assert capsys.readouterr().out == f"{trial.reason}\n"


def test_of_a_run_that_is_interrupted_or_has_lost_its_storage_the_study_is_told_nothing(
    study: Study, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train, "main", raising(KeyboardInterrupt()))
    code, trial = run(study, f"cache_dir={tmp_path}", "logger=none")
    assert (code, trial.state) == (INTERRUPTED, "running")
    url = f"sqlite:///{tmp_path / 'absent' / 'study.db'}"
    assert run_trial([url, "study", "1", study.pruner_node]) == INTERRUPTED
    assert "unable to open database file" in capsys.readouterr().out
