"""The files of a probe: tables, the picture, and the record of what was probed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from elmo.files import atomic_write, json_text
from experiments.compare.statistics.intervals import t_interval
from experiments.compare.tables.files import csv_text
from experiments.compare.tables.text import markdown_table
from experiments.probe.evidence import ModelFindings
from experiments.probe.figures import write_picture
from experiments.probe.kinds.probe import Material, Score, View
from experiments.probe.tables import latex, tables_of


def write_files(
    findings: Sequence[ModelFindings], material: Material, path: Path, *, record: Mapping[str, Any]
) -> None:
    """Write results.md, .csv, .tex and .json and the picture into a directory.

    Args:
        findings: of all models.
        material: what was probed.
        path: of the directory.
        record: what decides the results, in plain values, for results.json.

    Raises:
        InputError: the disk is full, or the directory cannot be written.
    """
    whole = {
        **record,
        "facts": dict(material.facts),
        "unit": material.unit,
        "models": [_model(each) for each in findings],
    }
    texts = {
        "results.md": "\n".join(map(markdown_table, tables_of(findings, material))),
        "results.csv": csv_text([row for each in findings for row in _rows(each)]),
        "results.tex": latex(findings, material),
        "results.json": json_text(whole, indent=2) + "\n",
    }
    for name, text in texts.items():
        with atomic_write(path / name) as aside:
            aside.write_text(text, encoding="utf-8")
    write_picture(findings, material, path)


def _rows(found: ModelFindings) -> list[dict[str, Any]]:
    """A row of plain numbers for each view."""
    rows = []
    for view in found.views:
        row: dict[str, Any] = {"model": found.model, "view": view.name, "layer": view.layer}
        for name in view.scores:
            interval = found.intervals[view.name, name]
            row |= dict(zip((name, f"{name} low", f"{name} high"), interval, strict=True))
        rows.append(row)
    return rows


def _model(found: ModelFindings) -> dict[str, Any]:
    return {
        "model": found.model,
        "fingerprint": found.fingerprint,
        "views": [_view(view, found) for view in found.views],
        "differences": [
            {
                "score": each.score,
                "first": each.first,
                "second": each.second,
                **asdict(each.evidence),
                "difference": each.evidence.difference._asdict(),
                "found": each.evidence.is_found,
            }
            for each in found.differences
        ],
    }


def _view(view: View, found: ModelFindings) -> dict[str, Any]:
    return {
        "view": view.name,
        "layer": view.layer,
        "scores": {
            name: {**found.intervals[view.name, name]._asdict(), **_over_seeds(score)}
            for name, score in view.scores.items()
        },
        **view.facts,
    }


def _over_seeds(score: Score) -> dict[str, Any]:
    """The repetitions' scores, with Student's t interval of their mean; {} of a single one."""
    interval = t_interval(score.repetitions)
    if interval is None:
        return {}
    return {
        "seeds": score.repetitions.tolist(),
        "seeds_low": interval.low,
        "seeds_high": interval.high,
        "seeds_deviation": interval.deviation,
    }
