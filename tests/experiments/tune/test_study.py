"""A study gives out trials up to a number in all, whatever becomes of them and whoever works on it."""

from __future__ import annotations

import math
import os
import signal
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fake_trials import SPACE, Launch, make_study, outcomes, search, values_of
from sqlalchemy.exc import IntegrityError

from elmo.errors import InputError
from experiments.io.run_record import read_run
from experiments.tune import storage as storage_module
from experiments.tune import study as study_module
from experiments.tune.storage import StorageError
from experiments.tune.study import Study


def closeness(values: Mapping[str, str]) -> list[float]:
    """Two scores of a made-up training, best at a rate of 0.01 with a biLSTM of 32."""
    score = -abs(math.log10(float(values["rate"])) + 2)
    score -= abs(int(values["size"]) - 32) / 32 if "size" in values else 1
    return [score - 1, score]


def drawn(study: Study) -> list[dict[str, str]]:
    return [trial.values for trial in study.trials()]


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_one_worker_with_a_seed_repeats_exactly_also_after_an_interruption(
    sampler: str, tmp_path: Path
) -> None:
    node = {"type": sampler, "seed": 1, "num_startup_trials": 2}
    entries = {**SPACE, "clip": "interval(0.0,1.0)"}
    found = []
    for name in ("whole", "interrupted"):
        path = tmp_path / name
        path.mkdir()
        study = make_study(path, sampler=node, num_trials=4, entries=entries)
        if name == "interrupted":
            search(study, path, closeness, Launch(interrupt_at=3))
            assert len(study.trials()) == 2
        search(study, path, closeness)
        found.append((drawn(study), outcomes(study)))
    assert found[0] == found[1]
    other = make_study(tmp_path, sampler={**node, "seed": 2}, num_trials=1)
    search(other, tmp_path, closeness)
    assert drawn(other)[0] != found[0][0][0]


def test_a_random_search_is_the_same_for_any_number_of_workers(tmp_path: Path) -> None:
    found = []
    for slots in (1, 3):
        path = tmp_path / str(slots)
        path.mkdir()
        study = make_study(path, num_trials=4)
        search(study, path, closeness, Launch(slots))
        found.append(drawn(study))
    assert found[0] == found[1]


def test_a_conditional_key_has_a_value_only_where_its_condition_holds(tmp_path: Path) -> None:
    study = make_study(tmp_path, num_trials=6)
    launch = search(study, tmp_path, closeness)
    given = [values_of(arguments) for arguments in launch.started]
    assert {values["head"] for values in given} == {"pooled", "bilstm"}
    assert all(("size" in values) == (values["head"] == "bilstm") for values in given)


def test_a_search_finds_better_values_than_its_first_ones(tmp_path: Path) -> None:
    study = make_study(tmp_path, sampler={"type": "tpe", "num_startup_trials": 4, "seed": 1}, num_trials=12)
    search(study, tmp_path, closeness)
    values = [float(trial.value or 0) for trial in study.trials()]
    best = study.best()
    assert best is not None and best.value == max(values)
    assert max(values[4:]) > max(values[:4])


def test_a_study_goes_on_to_n_trials_in_all_for_two_commands_together(tmp_path: Path) -> None:
    first, second = make_study(tmp_path, num_trials=3), make_study(tmp_path, num_trials=5)
    search(first, tmp_path, closeness)
    search(second, tmp_path, closeness)
    search(first, tmp_path, closeness)
    assert len(first.trials()) == len(second.trials()) == 5
    assert [trial.name for trial in first.trials()][-1] == "trial-0004"


def test_a_trial_that_fails_has_a_reason_and_the_study_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    became = iter([InputError("the disk is full"), -signal.SIGKILL, [1.0, 2.0], 1])
    study = make_study(tmp_path, num_trials=4)
    search(study, tmp_path, lambda values: next(became))
    assert outcomes(study) == [("failed", None), ("failed", None), ("complete", 2.0), ("failed", None)]
    reasons = [trial.reason or "" for trial in study.trials()]
    assert reasons[0] == "the disk is full"
    assert reasons[1].startswith("killed by SIGKILL, which the system does when memory runs out")
    assert reasons[3] == "it ended with exit code 1 and said nothing"
    for trial in study.trials():
        if trial.reason is not None:
            failure = read_run(tmp_path / trial.name).failure
            assert failure is not None and failure["reason"] == trial.reason
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("failed   trial-0000: the disk is full (head=")
    assert "; best trial-0002, 2; 3 of 4" in lines[2]


def test_a_trial_that_falls_behind_is_pruned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    became = iter([[5.0, 6.0, 7.0], [5.0, 6.0, 8.0], [4.0, 1.0, 9.0], [6.0, 7.0, 7.5]])
    pruner = {"type": "median", "num_startup_trials": 2, "num_warmup_evaluations": 1}
    study = make_study(tmp_path, pruner=pruner, num_trials=4)
    search(study, tmp_path, lambda values: next(became))
    assert outcomes(study) == [("complete", 7.0), ("complete", 8.0), ("pruned", 1.0), ("complete", 7.5)]
    assert [trial.num_evaluations for trial in study.trials()] == [3, 3, 2, 3]
    assert "pruned   trial-0002: dev/accuracy 1 after 2 evaluations" in capsys.readouterr().out


def test_a_study_whose_first_trials_all_fail_is_not_tried_to_its_end(tmp_path: Path) -> None:
    study = make_study(tmp_path, num_trials=6)
    with pytest.raises(
        InputError, match="all of the first 3 trials have failed, the last one: no data; mend that"
    ):
        search(study, tmp_path, lambda values: InputError("no data"))
    assert outcomes(study) == [("failed", None)] * 3


def test_hyperband_prunes_by_evaluations(tmp_path: Path) -> None:
    node = {"type": "hyperband", "min_evaluations": 1, "max_evaluations": 9, "reduction_factor": 3}
    study = make_study(tmp_path, pruner=node, num_trials=6)
    ranks = iter(range(6, 0, -1))  # each trial is worse than those before
    search(study, tmp_path, lambda values: [float(next(ranks))] * 9)
    states = [state for state, _ in outcomes(study)]
    assert states[0] == "complete"
    assert "pruned" in states


def test_the_values_of_a_trial_whose_process_has_gone_are_tried_again_by_the_same_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = make_study(tmp_path, num_trials=2)
    first = lost.next()
    assert first is not None
    gone = [os.uname().nodename, 2**22 + 1]  # no process has this number
    lost.optuna._storage.set_trial_user_attr(first.trial_id, study_module.OWNER, gone)
    lost.optuna._storage.set_trial_intermediate_value(first.trial_id, 1, 0.5)
    study = make_study(tmp_path, num_trials=2)
    again = study.next()
    assert again is not None
    assert (again.name, again.values) == (first.name, first.values)
    assert study.optuna.trials[-1].intermediate_values == {1: 0.5}
    assert len(study.trials()) == 1
    monkeypatch.setattr(study_module, "STALE_SECONDS", -1.0)  # one of another machine that is silent for long
    third = make_study(tmp_path, num_trials=2).next()
    assert third is not None and third.values == first.values
    last = make_study(tmp_path, num_trials=2).next()
    assert last is not None and last.index == 1  # after three attempts it has failed
    assert study.trials()[0].reason == "its process has gone without a word, 3 times"


def test_trials_that_others_run_are_left_alone_as_long_as_they_are_heard_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make_study(tmp_path, num_trials=2), make_study(tmp_path, num_trials=2)
    one, two = first.next(), second.next()
    assert one is not None and two is not None
    assert (one.index, two.index) == (0, 1)
    assert first.next() is None and second.next() is None
    assert outcomes(first) == [("running", None)] * 2
    said = study_module.ALIVE
    before = first.optuna.trials[0].user_attrs[said]
    first.beat()
    assert first.optuna.trials[0].user_attrs[said] == before
    monkeypatch.setattr(study_module, "BEAT_SECONDS", 0.0)
    first.beat()
    assert first.optuna.trials[0].user_attrs[said] > before


def test_a_study_whose_space_changed_is_refused_with_the_keys_that_changed(tmp_path: Path) -> None:
    make_study(tmp_path)
    changed = {**SPACE, "rate": "interval(0.1,1)", "clip": "interval(0,1)"}
    with pytest.raises(InputError) as caught:
        make_study(tmp_path, entries=changed)
    assert str(caught.value) == (
        "space.clip, space.rate: not what the study study began with, and its trials could not be compared;"
        " give the new study a name of its own: name=..."
    )
    make_study(
        tmp_path, num_trials=9, sampler={"type": "tpe", "num_startup_trials": 1, "seed": 1}
    )  # may be others


def test_a_storage_that_is_locked_or_gone_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.tune.storage.LOCK_SECONDS", 0.1)
    study = make_study(tmp_path)
    other = sqlite3.connect(tmp_path / "study.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StorageError, match=r"study\.db: database is locked; what the trials have saved"):
        study.next()
    other.execute("ROLLBACK")
    other.close()
    assert study.next() is not None
    (tmp_path / "study.db").unlink()
    with pytest.raises(StorageError, match=r"study\.db: "):
        study.next()


def test_two_commands_may_begin_a_study_at_the_same_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_module, "CREATION_SECONDS", 0.0)
    real, attempts = storage_module.RDBStorage, list[str]()

    def late(url: str, **options: Any) -> Any:
        attempts.append(url)
        if len(attempts) == 1:
            raise IntegrityError("INSERT", None, Exception("UNIQUE constraint failed"))
        return real(url, **options)

    monkeypatch.setattr(storage_module, "RDBStorage", late)
    assert make_study(tmp_path).next() is not None
    assert len(attempts) == 2


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sqlite:////absent/study.db", "unable to open database file"),
        ("nothing", "Could not parse SQLAlchemy URL"),
        ("postgresql://user:secret@127.0.0.1:1/name", "Please install appropriate one|refused"),
    ],
)
def test_a_storage_that_cannot_be_reached_is_one_line(url: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=reason) as caught:
        make_study(tmp_path, url=url)
    assert len(str(caught.value).splitlines()) == 1
    assert "secret" not in str(caught.value)
