"""The end of a sweep: its table, on the terminal and whole in summary.csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from elmo.files import atomic_write
from experiments.logging.progress import Cell, summary_table
from experiments.sweep.engine import Job
from experiments.sweep.record import SUMMARY_FILE
from experiments.sweep.view import metric_of, value_of

_SCORES = ("dev/", "test/")
_COSTS = ("train/steps", "train/best_step", "seconds", "peak_memory_bytes", "peak_accelerator_memory_bytes")
_SHOWN_STATES = {"waiting": "not begun", "running": "unfinished"}


def write_summary(path: Path, jobs: Sequence[Job]) -> Path:
    """Write a row for each job: its name, state, axes, scores and costs; the file's path.

    Args:
        path: the sweep's directory.
        jobs: in the order of the rows.
    """
    axes = _axes(jobs)
    figures = [*_names(jobs, _SCORES), *(name for name in _COSTS if _has(jobs, name))]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["job", "role", "state", *axes, *figures, "reason"])
    for job in jobs:
        values = [_figures(job).get(name) for name in figures]
        chosen = [_text(job.record.axes.get(axis)) for axis in axes]
        writer.writerow([job.record.name, job.record.role, state_of(job), *chosen, *values, job.reason or ""])
    with atomic_write(path / SUMMARY_FILE) as aside:
        aside.write_text(text.getvalue(), encoding="utf-8")
    return path / SUMMARY_FILE


def print_summary(jobs: Sequence[Job]) -> None:
    """Print the jobs with the metric by which they select, the same on the test split, and their time."""
    metrics = list(dict.fromkeys(metric for job in jobs if (metric := metric_of(job))))
    tests = [f"test/{metric.partition('/')[2]}" for metric in metrics]
    tests = [name for name in dict.fromkeys(tests) if _has(jobs, name) and name not in metrics]
    rows: list[list[Cell]] = []
    for job in jobs:
        values = [value_of(job) if metric_of(job) == metric else None for metric in metrics]
        values += [_figures(job).get(name) for name in tests]
        rows.append([job.record.name, state_of(job), *values, _figures(job).get("seconds")])
    summary_table(rows, columns=["job", "state", *metrics, *tests, "seconds"])


def state_of(job: Job) -> str:
    """The state in words."""
    return _SHOWN_STATES.get(job.state, job.state)


def _axes(jobs: Sequence[Job]) -> list[str]:
    return list(dict.fromkeys(axis for job in jobs for axis in job.record.axes))


def _names(jobs: Sequence[Job], prefixes: tuple[str, ...]) -> Iterator[str]:
    """The figures whose names begin with a prefix, in the order in which the runs have them."""
    names = dict.fromkeys(name for job in jobs for name in _figures(job))
    for prefix in prefixes:
        yield from (name for name in names if name.startswith(prefix))


def _has(jobs: Sequence[Job], name: str) -> bool:
    return any(name in _figures(job) for job in jobs)


def _figures(job: Job) -> dict[str, float | None]:
    return job.run.figures if job.run is not None else {}


def _text(value: Any) -> Any:
    return "" if value is None else value
