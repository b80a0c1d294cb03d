"""The record of a sweep or a study: sweep.json in its directory, which says what each job below it is."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from elmo.errors import InputError
from elmo.files import atomic_write, json_text
from elmo.json_file import read_json
from elmo.values import read_record

FORMAT: Literal[1] = 1
RECORD_FILE = "sweep.json"
SUMMARY_FILE = "summary.csv"


@dataclass(frozen=True)
class JobRecord:
    """A job: a list of overrides of `experiments.train`, run in the directory of its name.

    Attributes:
        name: of its directory below the sweep's, which may be nested, as `pretraining/bilm` is.
        axes: what differs between the jobs, and which value this one has.
        overrides: of `experiments.train`, without the directory.
        role: `job`, or `pretraining` for one whose model other jobs start from.
        state: in a study, `complete`, `pruned`, `failed` or `running`. A sweep's jobs have none: whether one
            has finished is read from its directory.
        value: in a study, that of the objective.
    """

    name: str
    axes: dict[str, Any]
    overrides: list[str]
    role: Literal["job", "pretraining"] = "job"
    state: Literal["complete", "pruned", "failed", "running"] | None = None
    value: float | None = None


@dataclass(frozen=True)
class SweepRecord:
    """The content of sweep.json.

    Attributes:
        name: of the sweep.
        kind: `sweep`, or `study` of `experiments.tune`.
        jobs: in the order in which they are run.
        question: which the sweep answers, as its file says it.
        file: the sweep's file, or the search's, as plain values.
        format: of this record.
    """

    name: str
    kind: Literal["sweep", "study"]
    jobs: list[JobRecord]
    question: str | None = None
    file: dict[str, Any] = field(default_factory=dict)
    format: Literal[1] = FORMAT


def read_sweep(path: Path) -> SweepRecord:
    """The record of the sweep whose directory is `path`.

    Raises:
        InputError: there is none, or it is damaged.
    """
    place = path / RECORD_FILE
    if not place.is_file():
        raise InputError(f"{path}: no sweep or study: it has no {RECORD_FILE}")
    return read_record(SweepRecord, read_json(place), name=str(place))


def write_sweep(path: Path, record: SweepRecord) -> None:
    """Writes the record into the directory `path` of the sweep; InputError: it cannot be written."""
    values = dataclasses.asdict(record)
    values["jobs"] = [_without_absent(job) for job in values["jobs"]]
    with atomic_write(path / RECORD_FILE) as aside:
        aside.write_text(json_text(values, indent=2) + "\n", encoding="utf-8")


def _without_absent(job: dict[str, Any]) -> dict[str, Any]:
    """A job's values without those that only a study's jobs have."""
    return {key: value for key, value in job.items() if key not in ("state", "value") or value is not None}
