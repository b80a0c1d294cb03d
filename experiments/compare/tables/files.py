"""The files of a comparison: Markdown, CSV, LaTeX and JSON."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from elmo.files import atomic_write, json_text
from experiments.compare.comparison import Comparison, Group
from experiments.compare.reading import seconds_of
from experiments.compare.tables.latex import latex
from experiments.compare.tables.text import markdown
from experiments.io.run_record import RunRecord


def write_files(comparison: Comparison, path: Path) -> None:
    """Write comparison.md, .csv, .tex and .json, and runs.csv, into a directory.

    Raises:
        InputError: the disk is full, or the directory cannot be written.
    """
    texts = {
        "comparison.md": markdown(comparison),
        "comparison.csv": csv_text(group_rows(comparison)),
        "runs.csv": csv_text(_run_rows(comparison)),
        "comparison.tex": latex(comparison),
        "comparison.json": json_text(_plain(comparison), indent=2) + "\n",
    }
    for name, text in texts.items():
        with atomic_write(path / name) as aside:
            aside.write_text(text, encoding="utf-8")


def group_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """A row for each group, of plain numbers."""
    return [_group_row(comparison, place) for place in range(len(comparison.groups))]


def _group_row(comparison: Comparison, place: int) -> dict[str, Any]:
    group = comparison.groups[place]
    intervals = {comparison.metric: group.interval, comparison.dev_metric: group.dev_interval}
    return {
        "group": group.label,
        **group.key,
        **_metric(comparison, group),
        "n": group.num_units,
        "runs": len(group.runs),
        **{
            f"{metric}{end}": value
            for metric, interval in intervals.items()
            for end, value in zip(("", " low", " high"), interval, strict=True)
        },
        "deviation": group.deviation,
        "chosen on dev": comparison.chosen[group.data_set] == place,
        **dataclasses.asdict(group.costs),
    }


def _metric(comparison: Comparison, group: Group) -> dict[str, Any]:
    """A column for the metric, where data sets have metrics of their own."""
    return {"metric": group.metric} if comparison.has_metrics else {}


def _run_rows(comparison: Comparison) -> list[dict[str, Any]]:
    rows = []
    for group in comparison.groups:
        for run, score, dev, seed in zip(
            group.runs, group.scores.tolist(), group.dev_scores.tolist(), group.seeds, strict=True
        ):
            row = {"run": str(run.path), "group": group.label, **group.key, **_metric(comparison, group)}
            row |= {
                "seed": seed,
                comparison.metric: score,
                comparison.dev_metric: dev,
                "seconds": seconds_of(run),
            }
            rows.append(row)
    return rows


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of plain values as CSV; what is not finite is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(
        text, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows({key: _finite(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def _plain(value: Any) -> Any:
    """What JSON knows: of a run its directory, of an array its numbers, null for what is not finite."""
    if isinstance(value, RunRecord | Path):
        return str(value.path if isinstance(value, RunRecord) else value)
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, Group):
        fields = {entry.name: getattr(value, entry.name) for entry in dataclasses.fields(value)}
        return {name: _plain(item) for name, item in fields.items() if name != "examples"}  # they are large
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {entry.name: _plain(getattr(value, entry.name)) for entry in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return _finite(value)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
