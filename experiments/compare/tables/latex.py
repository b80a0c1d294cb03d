"""A comparison as a table for LaTeX with booktabs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from experiments.compare.comparison import Comparison, Group
from experiments.compare.differences import shown_value
from experiments.compare.tables.scores import best_of, with_half_width

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def latex(comparison: Comparison) -> str:
    """The table: groups in rows or, with several data sets, systems in rows and data sets in columns."""
    rows = _rows_of_data_sets(comparison) if len(comparison.data_sets) > 1 else _rows_of_groups(comparison)
    width = len(rows[0])
    num_words = width - len(comparison.data_sets) if len(comparison.data_sets) > 1 else len(comparison.by)
    return booktabs(rows, num_words=max(1, num_words), caption=_caption(comparison), label="tab:comparison")


def booktabs(rows: Sequence[Sequence[str]], *, num_words: int, caption: str, label: str) -> str:
    """A table of cells that LaTeX can read, the first row its head, the first `num_words` columns text."""
    head, *body = rows
    columns = "l" * num_words + "r" * (len(head) - num_words)
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            "\\begin{table}",
            "\\centering",
            f"\\begin{{tabular}}{{{columns}}}",
            "\\toprule",
            f"{' & '.join(head)} \\\\",
            "\\midrule",
            *(f"{' & '.join(row)} \\\\" for row in body),
            "\\bottomrule",
            "\\end{tabular}",
            f"\\caption{{{caption}}}",
            f"\\label{{{label}}}",
            "\\end{table}",
            "",
        ]
    )


def escaped(text: str) -> str:
    """A text whose signs LaTeX prints as they are."""
    return "".join(_SPECIAL.get(letter, letter) for letter in text)


def _rows_of_groups(comparison: Comparison) -> list[list[str]]:
    has_reduction = any(claim.error_reduction is not None for claim in comparison.claims)
    names = [*(comparison.by or ["runs"]), "n", comparison.metric, comparison.dev_metric]
    names += ["parameters trained", "frozen", "s per run"]
    rows = [[escaped(name) for name in names]]
    best = best_of(comparison)
    for place, group in enumerate(comparison.groups):
        costs = group.costs
        rows.append(
            [
                *(escaped(shown_value(group.key[key])) for key in comparison.by),
                *([] if comparison.by else [escaped(group.label)]),
                str(len(group.runs) if comparison.is_study else group.num_units),
                _score(group, is_best=place in best),
                with_math(with_half_width(group.dev_interval)),
                *(
                    "" if count is None else f"{count:,}"
                    for count in (costs.parameters_trained, costs.parameters_frozen)
                ),
                "" if costs.seconds is None else f"{costs.seconds:,.0f}",
            ]
        )
    return rows if not has_reduction else _with_reductions(comparison, rows)


def _with_reductions(comparison: Comparison, rows: list[list[str]]) -> list[list[str]]:
    """The rows with each group's error reduction relative to the one it was compared with."""
    centers = {claim.second for claim in comparison.claims}
    if len(centers) != 1:
        return rows  # of all pairs, which have a table of their own
    found = {claim.first: claim.error_reduction for claim in comparison.claims}
    name = escaped(f"error reduction on {comparison.groups[centers.pop()].label} (%)")
    column = [name]
    for place in range(len(comparison.groups)):
        reduction = found.get(place)
        column.append("" if reduction is None else f"{reduction.estimate:.1f}")
    return [[*row, cell] for row, cell in zip(rows, column, strict=True)]


def _rows_of_data_sets(comparison: Comparison) -> list[list[str]]:
    found = {(group.system, group.data_set): place for place, group in enumerate(comparison.groups)}
    best = best_of(comparison)
    metrics = comparison.metrics
    heads = [f"{name} ({metrics[name]})" if comparison.has_metrics else name for name in comparison.data_sets]
    rows = [["system", *map(escaped, heads)]]
    for system in dict.fromkeys(group.system for group in comparison.groups):
        places = [found.get((system, data_set)) for data_set in comparison.data_sets]
        cells = [
            "" if place is None else _score(comparison.groups[place], is_best=place in best)
            for place in places
        ]
        rows.append([escaped(system), *cells])
    return rows


def _score(group: Group, *, is_best: bool) -> str:
    text = with_math(with_half_width(group.interval))
    return f"\\textbf{{{text}}}" if is_best else text


def with_math(text: str) -> str:
    """A score with its half width, such as `83.12 ± 0.45`, as LaTeX reads it."""
    return "" if text == "nan" else re.sub(" ?± ?", r" $\\pm$ ", text)


def _caption(comparison: Comparison) -> str:
    numbers = sorted({group.num_units for group in comparison.groups})
    n = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    over = " and ".join(comparison.over)
    sentences = [f"{comparison.metric}: mean over {n} values of {over}"]
    if comparison.is_study:
        sentences = [f"{comparison.metric} of the trial with the best {comparison.dev_metric}"]
    if any(group.deviation is not None for group in comparison.groups):
        sentences[0] += " with 95 % intervals (Student's t)"
    if comparison.claims:
        sentences.append(_rule_of_bold(comparison))
    return escaped(". ".join(sentences) + ".")


def _rule_of_bold(comparison: Comparison) -> str:
    claims = comparison.claims
    designs = dict.fromkeys(claim.retrained.design.partition(" over ")[0] for claim in claims)
    test = f"{' or '.join(designs)}, p < 0.05 after Holm's correction over"
    num_tested = sum(claim.retrained.p is not None for claim in claims)
    return (
        "Bold: the best mean of a test set, where each other one was found to differ from it"
        f" ({test} {num_tested} pairs)"
    )
