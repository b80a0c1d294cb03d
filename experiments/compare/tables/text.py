"""A comparison as text: on the terminal and as Markdown."""

from __future__ import annotations

from experiments.compare.comparison import Comparison
from experiments.compare.tables.scores import TextTable, examples_table, group_table, retrained_table
from experiments.compare.tables.summaries import across_table, budget_table, gains_table
from experiments.logging.progress import summary_table


def tables_of(comparison: Comparison) -> list[TextTable]:
    """All tables of a comparison that have rows."""
    found = [group_table(comparison)]
    if any(claim.error_reduction is not None for claim in comparison.claims):
        found.append(gains_table(comparison))
    if comparison.claims:
        found.append(retrained_table(comparison))
    if any(claim.examples is not None for claim in comparison.claims):
        found.append(examples_table(comparison))
    if comparison.across is not None:
        found.append(across_table(comparison, comparison.across))
    if comparison.budget_curves:
        found.append(budget_table(comparison))
    return found


def print_comparison(comparison: Comparison) -> None:
    """Print the tables and the warnings to standard output."""
    if comparison.sweep is not None and comparison.sweep.question:
        print(comparison.sweep.question, end="\n\n")
    for table in tables_of(comparison):
        summary_table(table.rows, columns=table.columns, title=table.title)
        print("\n".join(table.notes), end="\n\n")
    for warning in comparison.warnings:
        print(f"warning: {warning}")


def markdown(comparison: Comparison) -> str:
    """The same as Markdown."""
    question = comparison.sweep.question if comparison.sweep is not None else None
    parts = [f"{question}\n"] if question else []
    parts += [markdown_table(table) for table in tables_of(comparison)]
    parts += ["".join(f"- {warning}\n" for warning in comparison.warnings)] if comparison.warnings else []
    return "\n".join(parts)


def markdown_table(table: TextTable) -> str:
    """A table and its notes as Markdown."""
    lines = [f"**{_escaped(table.title)}**", "", _line(table.columns), _line(["---"] * len(table.columns))]
    return "\n".join([*lines, *map(_line, table.rows), "", *map(_escaped, table.notes), ""])


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(map(_escaped, cells))} |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
