"""How two runs differ, in configs, environments and figures: `python -m experiments.diff run_a=A run_b=B`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.config.command import run_command
from experiments.records.schema import DiffConfig

if TYPE_CHECKING:
    from experiments.io.run_record import RunRecord
    from experiments.records.differences import Difference

_LONGEST = 60  # characters of a value in a table
_SECTIONS = {"config": "config", "environment": "ran on", "figures": "figure"}


def main(config: DiffConfig, overrides: list[str]) -> None:
    """Print a table of each kind of differences, and write them to `output`."""
    from elmo.files import atomic_write
    from experiments.io.run_record import read_run

    runs = (read_run(Path(config.run_a)), read_run(Path(config.run_b)))
    names = (config.run_a, config.run_b)
    found = differences_of(*runs)
    for section, title in _SECTIONS.items():
        print_differences(title, found[section], names)
        if not found[section]:
            print(f"{section}: {_nothing(section, runs)}\n")
    if config.output is not None:
        text = _json(found, names) if config.output.endswith(".json") else _markdown(found, names, runs)
        with atomic_write(Path(config.output)) as aside:
            aside.write_text(text, encoding="utf-8")


def differences_of(first: RunRecord, second: RunRecord) -> dict[str, list[Difference]]:
    """The differences of two runs, those of their environments at their last starts."""
    from experiments.records.differences import (
        config_differences,
        environment_differences,
        figure_differences,
    )

    starts = [run.starts[-1] if run.starts else {} for run in (first, second)]
    have_figures = bool(first.figures and second.figures)
    return {
        "config": config_differences(first, second),
        "environment": environment_differences(*starts) if all(starts) else [],
        "figures": figure_differences(first, second) if have_figures else [],
    }


def print_differences(title: str, found: Sequence[Difference], names: tuple[str, str]) -> None:
    """Print a table of differences, if there are any."""
    from experiments.logging.progress import summary_table

    if found:
        rows = [(pair.what, _shown(pair.first), _shown(pair.second), _change(pair)) for pair in found]
        with_change = any(row[3] for row in rows)
        columns = [title, *names, "difference"][: 4 if with_change else 3]
        summary_table([row[: len(columns)] for row in rows], columns=columns)
        print()


def _nothing(section: str, runs: tuple[RunRecord, RunRecord]) -> str:
    """Why there are no differences of a section."""
    for run in runs:
        if section == "figures" and not run.figures:
            return f"{run.path} has no final figures ({run.state})"
        if section == "environment" and not run.starts:
            return f"{run.path} has no record of its starts"
    return "no difference"


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _change(pair: Difference) -> str:
    """The second value less the first, of numbers that are not both whole."""
    values = (pair.first, pair.second)
    is_number = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
    return (
        f"{pair.second - pair.first:+.4g}" if is_number and any(isinstance(v, float) for v in values) else ""
    )


def _json(found: Mapping[str, Sequence[Difference]], names: tuple[str, str]) -> str:
    from elmo.files import json_text

    sections = {
        section: {pair.what: [pair.first, pair.second] for pair in pairs} for section, pairs in found.items()
    }
    return json_text({"runs": list(names), **sections}, indent=2) + "\n"


def _markdown(
    found: Mapping[str, Sequence[Difference]], names: tuple[str, str], runs: tuple[RunRecord, RunRecord]
) -> str:
    lines = []
    for section, title in _SECTIONS.items():
        lines += [f"## {section}", ""]
        if not found[section]:
            lines += [f"{_nothing(section, runs)}.", ""]
            continue
        rows = [(title, *names), ("---",) * 3]
        rows += [(pair.what, _shown(pair.first), _shown(pair.second)) for pair in found[section]]
        lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
        lines.append("")
    return "\n".join(lines)


def command() -> int:
    """`elmo-diff`, which is `python -m experiments.diff`: the exit code."""
    return run_command(main, config_name="diff")


if __name__ == "__main__":
    sys.exit(command())
