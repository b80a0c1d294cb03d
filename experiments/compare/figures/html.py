"""A comparison as one HTML file, which needs nothing else: it opens without a network, and prints."""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from elmo.files import atomic_write
from experiments.compare.comparison import Comparison
from experiments.compare.figures.choice import all_fonts, pictures_of
from experiments.compare.figures.picture import Picture
from experiments.compare.statistics.checks import package
from experiments.compare.tables.scores import ON_NEW_EXAMPLES, RETRAINED, TextTable, best_of
from experiments.compare.tables.text import tables_of
from experiments.io.run_record import RunRecord

_TEMPLATE = Path(__file__).with_name("report.html")
_POINTS_PER_INCH = 96  # of a screen, as CSS counts them
_MOST_RUNS = 500  # whose commands are listed
_NUMBER = re.compile(r"[<+\-\u2212\d][\d.,e\s±+\-\[\]<]*%?")
_CLAIMS = {
    RETRAINED: (
        "If both methods were trained again, from new seeds, would their mean scores on this test set differ?"
        " The test is over independent repetitions; this is the claim to make about methods."
    ),
    ON_NEW_EXAMPLES: (
        "Would these very models, as they were trained, differ on new test examples of the same kind? The"
        " test is over examples; it says nothing of the methods trained again."
    ),
}


def write_html(
    comparison: Comparison, path: Path, *, command: str | None = None, paragraphs: Sequence[str] = ()
) -> None:
    """Write the report: question, tables, the two claims explained, pictures, and how to repeat it.

    Args:
        comparison: what is reported.
        path: of the file, which is written atomically.
        command: the command line of the comparison.
        paragraphs: what a conference's checklist asks for.

    Raises:
        InputError: jinja2 is not installed.
    """
    environment = package("jinja2").Environment(autoescape=True, trim_blocks=True)
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    with all_fonts(comparison, path):
        pictures = [_embedded(picture) for picture in pictures_of(comparison)]
    sweep = comparison.sweep
    text = template.render(
        title=f"{sweep.kind} {sweep.name}" if sweep else f"Comparison of {comparison.metric}",
        question=sweep.question if sweep else None,
        facts=list(_facts(comparison)),
        warnings=comparison.warnings,
        tables=[_table(comparison, table) for table in tables_of(comparison)],
        paragraphs=paragraphs,
        pictures=pictures,
        commands=[*_commands(comparison), *([command] if command else [])],
        runs=_runs(comparison),
        num_runs=sum(len(group.runs) for group in comparison.groups),
        left_out=comparison.left_out,
        file=yaml.safe_dump(sweep.file, sort_keys=False, allow_unicode=True) if sweep and sweep.file else "",
        kind=sweep.kind if sweep else "",
    )
    with atomic_write(path) as aside:
        aside.write_text(text, encoding="utf-8")


def _facts(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """What was compared, in pairs of a name and a text."""
    runs = [run for group in comparison.groups for run in group.runs]
    yield "groups by", ", ".join(comparison.by) or "nothing: all runs are one group"
    yield "repeated over", ", ".join(comparison.over) or "nothing"
    number = len(comparison.groups)
    yield "runs", f"n = {len(runs)} in {number} group{'s' * (number > 1)}"
    yield "metric", f"{comparison.metric} ({comparison.goal}); models were chosen by {comparison.dev_metric}"
    hours = f"{comparison.hours:.2f}"
    yield "device-hours", f"{hours}, {comparison.lost_hours:.2f} of them of failed and unfinished runs"
    yield "device", comparison.device
    for name, key in (("code", _commit), ("Python", _python), ("torch", _torch)):
        found = list(dict.fromkeys(value for run in runs if (value := key(run))))
        if found:
            yield name, ", ".join(found[:5]) + f" and {len(found) - 5} more" * (len(found) > 5)


def _commit(run: RunRecord) -> str | None:
    git = run.starts[-1].get("git") if run.starts else None
    return f"{str(git.get('commit'))[:10]}{' with changes' * bool(git.get('dirty'))}" if git else None


def _python(run: RunRecord) -> str | None:
    return run.starts[-1].get("python") if run.starts else None


def _torch(run: RunRecord) -> str | None:
    return (run.starts[-1].get("packages") or {}).get("torch") if run.starts else None


def _table(comparison: Comparison, table: TextTable) -> dict[str, Any]:
    claims = [text for name, text in _CLAIMS.items() if table.title.startswith(name)]
    is_of_groups = len(table.rows) == len(comparison.groups) and not claims
    return {
        **table._asdict(),
        "claim": claims[0] if claims else None,
        "best": best_of(comparison) if is_of_groups else (),
        "numeric": [_is_numeric(cells) for cells in zip(*table.rows, strict=True)],
    }


def _is_numeric(cells: Iterable[str]) -> bool:
    """Whether a column holds numbers, which are set flush right."""
    return all(_NUMBER.fullmatch(cell) for cell in cells if cell)


def _embedded(picture: Picture) -> dict[str, Any]:
    width, height = (round(_POINTS_PER_INCH * inches) for inches in picture.size)
    return {
        "name": picture.name,
        "title": picture.title,
        "caption": picture.caption,
        "content": base64.b64encode(picture.svg().encode()).decode(),
        "width": width,
        "height": height,
    }


def _commands(comparison: Comparison) -> Iterator[str]:
    """How the runs are made again."""
    sweep = comparison.sweep
    if sweep is not None and sweep.kind == "sweep":
        yield f"python -m experiments.sweep sweep={shlex.quote(sweep.name)}"
    elif sweep is not None:
        yield f"python -m experiments.tune search={shlex.quote(sweep.name)}"
    path = comparison.groups[0].runs[0].path
    yield f"python -m experiments.rerun run={shlex.quote(str(path))}  # one run, from its record alone"


def _runs(comparison: Comparison) -> list[tuple[str, str, str, str, str]]:
    """A row for each run: group, directory, seed, score, the command of its first start."""
    rows = [
        (group.label, str(run.path), str(seed), f"{score:.2f}", _command_of(run))
        for group in comparison.groups
        for run, seed, score in zip(group.runs, group.seeds, group.scores, strict=True)
    ]
    return rows[:_MOST_RUNS]


def _command_of(run: RunRecord) -> str:
    return str(run.starts[0].get("command", "")) if run.starts else ""
