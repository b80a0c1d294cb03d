"""Finds the runs of a comparison; those that are unfinished, failed or damaged are set apart."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elmo.errors import InputError
from elmo.json_file import parse_json
from experiments.compare.comparison import LeftOut
from experiments.io.run_record import RunRecord, find_runs, holds_record, read_run
from experiments.sweep.record import RECORD_FILE, JobRecord, SweepRecord, read_sweep

_TAIL_BYTES = 16_384  # of metrics.jsonl: far more than its last line
_SHOWN_NAMES = 3


@dataclass(frozen=True, eq=False)
class Material:
    """The runs of a comparison.

    Attributes:
        runs: the finished ones.
        axes: of each of them what its sweep varied; empty without a sweep.
        pretraining: finished runs of a sweep that others started from.
        left_out: all other runs.
        sweep: the record of the sweep or study.
    """

    runs: list[RunRecord] = field(default_factory=list)
    axes: list[dict[str, Any]] = field(default_factory=list)
    pretraining: list[RunRecord] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    sweep: SweepRecord | None = None


def read_runs(globs: Sequence[str]) -> Material:
    """The runs whose directories match; InputError: one glob matches no run, or is a sweep's directory."""
    for pattern in globs:
        if Path(pattern, RECORD_FILE).is_file():
            raise InputError(
                f"{pattern}: a sweep or study, which says itself what differs; give sweep={pattern}"
            )
    material = Material()
    for path in find_runs(globs):
        run = _read(path, material)
        if run is not None:
            material.runs.append(run)
            material.axes.append({})
    return material


def read_sweep_runs(path: Path) -> Material:
    """The runs of a sweep's or study's directory.

    Raises:
        InputError: there is none, or none of its jobs has finished.
    """
    sweep = read_sweep(path)
    material = Material(sweep=sweep)
    for job in sweep.jobs:
        run = _read_job(path / job.name, job, material)
        if run is None:
            continue
        if job.role == "pretraining":
            material.pretraining.append(run)
        else:
            material.runs.append(run)
            material.axes.append(job.axes)
    if not material.runs:
        raise InputError(f"{path}: no job of {len(sweep.jobs):,} has finished yet")
    return material


def seconds_of(run: RunRecord) -> float:
    """The seconds that a run has trained and evaluated, also of one that has not finished."""
    seconds = run.figures.get("seconds")
    return float(seconds) if isinstance(seconds, (int, float)) else _last_seconds(run.path / "metrics.jsonl")


def names(paths: Iterable[Path]) -> str:
    """Some runs' directories for a message, and how many more there are."""
    shown = [str(path) for path in paths]
    more = f" and {len(shown) - _SHOWN_NAMES:,} more" if len(shown) > _SHOWN_NAMES else ""
    return ", ".join(shown[:_SHOWN_NAMES]) + more


def by_value(runs: Sequence[RunRecord], value: Callable[[RunRecord], Any]) -> dict[Any, list[Path]]:
    """The directories of the runs with each value, in the order of the runs."""
    found: dict[Any, list[Path]] = {}
    for run in runs:
        found.setdefault(value(run), []).append(run.path)
    return found


def _read_job(path: Path, job: JobRecord, material: Material) -> RunRecord | None:
    if not holds_record(path):
        material.left_out.append(LeftOut(path, "not started", 0.0))
        return None
    if job.state in ("pruned", "running"):
        run = _read(path, Material())
        material.left_out.append(LeftOut(path, job.state, 0.0 if run is None else seconds_of(run) / 3600))
        return None
    return _read(path, material)


def _read(path: Path, material: Material) -> RunRecord | None:
    """A finished run's record; of any other a note in `left_out`, and None."""
    try:
        run = read_run(path)
    except InputError as error:
        material.left_out.append(LeftOut(path, f"damaged: {error}", 0.0))
        return None
    if run.state == "finished" and "train/steps" in run.figures:
        return run
    reason: str = run.state
    if run.state == "finished":
        reason = "of another version: its metrics.json has no train/steps"
    elif run.failure is not None:
        reason = f"failed: {run.failure.get('reason', 'no reason was noted')}"
    material.left_out.append(LeftOut(path, reason, seconds_of(run) / 3600))
    return None


def _last_seconds(path: Path) -> float:
    """What the last whole line of metrics.jsonl says that has `seconds`; 0 if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            lines = file.read().splitlines(keepends=True)
    except OSError:
        return 0.0
    return next(_seconds_in(reversed(lines)), 0.0)


def _seconds_in(lines: Iterable[bytes]) -> Iterator[float]:
    for line in lines:
        if not line.endswith(b"\n"):
            continue
        try:
            event = parse_json(line, name="line")
        except InputError:
            continue
        if isinstance(event, dict) and isinstance(event.get("seconds"), (int, float)):
            yield float(event["seconds"])
