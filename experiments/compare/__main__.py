"""Compares runs: `python -m experiments.compare runs=[globs]|sweep=DIR|study=DIR`."""

from __future__ import annotations

import sys
from pathlib import Path

from experiments.compare.schema import Checklist, CompareConfig, Incomplete
from experiments.config.command import run_command


def main(config: CompareConfig, overrides: list[str]) -> None:
    """Print the comparison, and write it as files if wanted; InputError for what may not be compared."""
    from experiments.compare.build import Wishes, compare  # late: scipy takes a second
    from experiments.compare.figures import write_figures
    from experiments.compare.figures.html import write_html
    from experiments.compare.reading import read_runs, read_sweep_runs
    from experiments.compare.tables.checklist import checklist
    from experiments.compare.tables.files import write_files
    from experiments.compare.tables.text import print_comparison
    from experiments.io.environment import command_line

    place = config.sweep or config.study
    material = read_runs(config.runs or []) if place is None else read_sweep_runs(Path(place))
    comparison = compare(
        material,
        Wishes(
            metric=config.metric,
            by=config.by,
            over=config.over,
            baseline=config.baseline,
            difference=config.difference,
            error_reduction=config.error_reduction,
            refuses_incomplete=config.incomplete is Incomplete.refuse,
        ),
    )
    print_comparison(comparison)
    if config.checklist is not None:
        print(f"\n{checklist(comparison, config.checklist.value)}")
    if config.output is not None:
        output = Path(config.output)
        write_files(comparison, output)
        write_figures(comparison, output / "figures")
        asked = checklist(comparison, (config.checklist or Checklist.acl).value)
        write_html(comparison, output / "report.html", command=command_line(), paragraphs=asked.split("\n\n"))
        print(output)


def command() -> int:
    """`elmo-compare`, which is `python -m experiments.compare`: the exit code."""
    return run_command(main, config_name="compare")


if __name__ == "__main__":
    sys.exit(command())
