"""Logs a comparison as a run of W&B: its tables, its pictures, and the scores of the groups."""

from __future__ import annotations

import math
from pathlib import Path

from experiments.compare.comparison import Comparison
from experiments.compare.tables.files import group_rows
from experiments.compare.tables.text import tables_of
from experiments.config.sections import LoggerConfig
from experiments.io.run_directory import RunDirectory
from experiments.logging.wandb_sink import WandbSink


def log_comparison(comparison: Comparison, path: Path, *, pictures_path: Path, options: LoggerConfig) -> None:
    """Log it; the group of the run is by default the sweep's name.

    Args:
        comparison: what is logged.
        path: the directory of its output; the files of W&B go there as well.
        pictures_path: where its pictures lie.
        options: where W&B's run goes.
    """
    sweep = comparison.sweep
    sink = WandbSink(
        mode=options.wandb.value,
        run=RunDirectory(path),
        project=options.project,
        entity=options.entity,
        group=options.group or (None if sweep is None else sweep.name),
        tags=options.tags,
        config={"metric": comparison.metric, "by": comparison.by, "over": comparison.over},
    )
    rows = group_rows(comparison)
    sink.show_table("groups", list(rows[0]), [list(row.values()) for row in rows])
    for table in tables_of(comparison)[1:]:  # the first is that of the groups, as text
        sink.show_table(table.name, table.columns, table.rows)
    for picture in sorted(pictures_path.glob("*.png")):
        sink.show_picture(picture.stem, picture)
    scores = {f"{comparison.metric}/{row['group']}": row[comparison.metric] for row in rows}
    sink.summarize(0, {name: score for name, score in scores.items() if math.isfinite(score)})
    sink.close(failed=False)
