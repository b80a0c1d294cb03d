"""The record of a sweep: what is written is read again, and a damaged one is told in a line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from elmo.errors import InputError
from experiments.sweep.record import JobRecord, SweepRecord, read_sweep, write_sweep

JOBS = [
    JobRecord("pretraining/bilm", {}, ["encoder=elmo_tiny"], role="pretraining"),
    JobRecord("encoder=elmo,seed=2", {"encoder": "elmo", "seed": 2}, ["encoder=elmo", "seed=2"]),
    JobRecord("trial-3", {"optimizer.learning_rate": 0.1}, [], state="complete", value=91.5),
]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    record = SweepRecord("heads", "study", JOBS, "Does ELMo help?", {"grid": {"seed": [1, 2]}})
    write_sweep(tmp_path, record)
    assert read_sweep(tmp_path) == record
    jobs = json.loads((tmp_path / "sweep.json").read_text())["jobs"]
    assert "state" not in jobs[0]
    assert (jobs[2]["state"], jobs[2]["value"]) == ("complete", 91.5)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{", "sweep.json: not JSON, or damaged"),
        ('{"format": 2, "name": "x", "kind": "sweep", "jobs": []}', "sweep.json: format: expected "),
        ('{"name": "x", "kind": "sweeep", "jobs": []}', "sweep.json: kind: unknown choice 'sweeep'; nearest"),
        ('{"name": "x", "kind": "sweep", "jobs": [{"name": 3}]}', "sweep.json: jobs[0].axes: missing"),
    ],
)
def test_a_damaged_record_is_told_in_a_line(tmp_path: Path, text: str, line: str) -> None:
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(InputError) as caught:
        read_sweep(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}/{line}")


def test_a_directory_that_is_none_of_a_sweep_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no sweep or study: it has no sweep\.json$"):
        read_sweep(tmp_path)
