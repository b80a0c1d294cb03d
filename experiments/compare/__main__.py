"""Compares runs: `python -m experiments.compare runs=[globs]|sweep=DIR|study=DIR`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.compare.schema import Checklist, CompareConfig, Incomplete
from experiments.config.choices import WandbMode
from experiments.config.command import run_command

if TYPE_CHECKING:
    from experiments.compare.comparison import Comparison

FIGURES = "figures"  # below the output's directory


def main(config: CompareConfig, overrides: list[str]) -> None:
    """Print the comparison, and write it as files if wanted; InputError for what may not be compared."""
    from experiments.compare.build import Wishes, compare  # late: scipy takes a second
    from experiments.compare.reading import read_runs, read_sweep_runs
    from experiments.compare.tables.checklist import checklist
    from experiments.compare.tables.text import print_comparison

    place = config.sweep_dir or config.study
    material = read_runs(config.runs or []) if place is None else read_sweep_runs(Path(place))
    comparison = compare(
        material,
        Wishes(
            metric=config.metric,
            by=config.by,
            over=config.over,
            baseline=config.baseline,
            difference=config.difference,
            against=config.against,
            error_reduction=config.error_reduction,
            refuses_incomplete=config.incomplete is Incomplete.refuse,
        ),
    )
    print_comparison(comparison)
    if config.checklist is not None:
        print(f"\n{checklist(comparison, config.checklist.value)}")
    if config.output is not None:
        _write(comparison, config, Path(config.output))


def _write(comparison: Comparison, config: CompareConfig, path: Path) -> None:
    """Write the output's files, pictures and report, and log them if wanted."""
    from experiments.compare.figures import write_figures
    from experiments.compare.figures.html import write_html
    from experiments.compare.tables.checklist import checklist
    from experiments.compare.tables.files import write_files
    from experiments.io.command_line import command_line

    write_files(comparison, path)
    write_figures(comparison, path / FIGURES)
    asked = checklist(comparison, (config.checklist or Checklist.acl).value)
    write_html(comparison, path / "report.html", command=command_line(), paragraphs=asked.split("\n\n"))
    if config.logger.wandb is not WandbMode.disabled:
        from experiments.compare.wandb_run import log_comparison

        log_comparison(comparison, path, pictures_path=path / FIGURES, options=config.logger)
    print(path)


def run(arguments: Sequence[str]) -> int:
    """Compare as these arguments say, and return the exit code."""
    own = [f"sweep_dir={text[6:]}" if text.startswith("sweep=") else text for text in arguments]
    return run_command(main, config_name="compare", arguments=own)


def command() -> int:
    """`elmo-compare`, which is `python -m experiments.compare`: the exit code."""
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(command())
