"""The tables of a probe: scores by layer, and the differences of layers."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.compare.comparison import Interval
from experiments.compare.tables.latex import booktabs, escaped, with_math
from experiments.compare.tables.scores import TextTable, shown_p, with_ends, with_half_width
from experiments.probe.evidence import ModelFindings
from experiments.probe.kinds.probe import Material


def tables_of(findings: Sequence[ModelFindings], material: Material) -> list[TextTable]:
    """The table of scores, and one of differences for each score that was compared."""
    return [
        score_table(findings, material),
        *(
            _difference_table(findings, name, material)
            for name in material.compared
            if _has_pairs(findings, name)
        ),
    ]


def score_table(findings: Sequence[ModelFindings], material: Material) -> TextTable:
    """A row for each view of each model."""
    names = score_names(findings)
    rows = [
        [
            *([each.model] if len(findings) > 1 else []),
            view.name,
            *(_score(each.intervals.get((view.name, name))) for name in names),
            *([_spread(view.scores["accuracy"].repetitions.tolist())] if _has_seeds(findings) else []),
        ]
        for each in findings
        for view in each.views
    ]
    columns = ["model"] * (len(findings) > 1) + ["layer", *names]
    columns += ["accuracies of seeds"] * _has_seeds(findings)
    counts = ", ".join(f"{name}: {count:,}" for name, count in material.facts.items())
    title = f"Scores in percent with 95 % intervals (bootstrap over {material.unit})"
    return TextTable(title, columns, rows, [counts], "scores")


def latex(findings: Sequence[ModelFindings], material: Material) -> str:
    """The table of scores for LaTeX with booktabs."""
    table = score_table(findings, material)
    num_words = 1 + (len(findings) > 1)
    num_columns = num_words + len(score_names(findings))
    rows = [[escaped(cell) for cell in table.columns[:num_columns]]]
    rows += [
        [*map(escaped, row[:num_words]), *map(with_math, row[num_words:num_columns])] for row in table.rows
    ]
    return booktabs(rows, num_words=num_words, caption=escaped(f"{table.title}."), label="tab:probe")


def score_names(findings: Sequence[ModelFindings]) -> list[str]:
    """The names of all scores that any view has, in their order."""
    return list(dict.fromkeys(name for each in findings for view in each.views for name in view.scores))


def _difference_table(findings: Sequence[ModelFindings], score: str, material: Material) -> TextTable:
    rows = [
        [
            *([each.model] if len(findings) > 1 else []),
            f"{found.first} - {found.second}",
            with_ends(found.evidence.difference),
            shown_p(found.evidence.p),
            shown_p(found.evidence.adjusted_p),
            "yes" if found.evidence.is_found else "no",
        ]
        for each in findings
        for found in each.differences
        if found.score == score
    ]
    columns = ["model"] * (len(findings) > 1)
    columns += ["pair", "difference (95 % interval)", "p", "p (Holm)", "found"]
    note = (
        f"p: approximate randomisation over {material.unit}, two-sided; corrected over the pairs of a model."
        f" It says nothing of biLMs trained again."
    )
    return TextTable(f"Differences of {score} in points", columns, rows, [note], f"differences_{score}")


def _has_pairs(findings: Sequence[ModelFindings], score: str) -> bool:
    return any(found.score == score for each in findings for found in each.differences)


def _has_seeds(findings: Sequence[ModelFindings]) -> bool:
    return any(
        len(score.hits_RU) > 1 for each in findings for view in each.views for score in view.scores.values()
    )


def _score(interval: Interval | None) -> str:
    return "" if interval is None else with_half_width(interval)


def _spread(repetitions: Sequence[float]) -> str:
    """The range of the repetitions, which says how little the seed decides."""
    return "" if len(repetitions) == 1 else f"{min(repetitions):.2f} to {max(repetitions):.2f}"
