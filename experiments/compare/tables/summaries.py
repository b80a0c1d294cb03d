"""A comparison's tables beyond groups and pairs: gains on a baseline, systems over data sets, budgets."""

from __future__ import annotations

from experiments.compare.comparison import AcrossDataSets, BudgetCurve, Comparison
from experiments.compare.tables.scores import TextTable, evidence_cells, with_ends, with_half_width

_BUDGETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def across_table(comparison: Comparison, across: AcrossDataSets) -> TextTable:
    """A row for each system: its score on each data set, the interquartile mean, improvement and rank."""
    found = {(group.system, group.data_set): group for group in comparison.groups}
    columns = ["system", *across.data_sets, "interquartile mean [95 %]", "improves on the others"]
    columns += ["mean rank"] if across.ranks is not None else []
    rows = []
    for place, system in enumerate(across.systems):
        middle = across.interquartile_means[place]
        ends = "" if middle.low is None else f" [{middle.low:.2f}, {middle.high:.2f}]"
        others = [value for other, value in enumerate(across.improvement[place]) if other != place]
        row = [system, *(with_half_width(found[system, data].interval) for data in across.data_sets)]
        row += [f"{middle.estimate:.2f}{ends}", f"{sum(others) / len(others):.2f}"]
        rows.append(row + ([f"{across.ranks[place]:.2f}"] if across.ranks is not None else []))
    notes = ["intervals over data sets: stratified bootstrap over seeds, too narrow with few seeds"]
    notes.append("improves: the mean probability that a run is better than one of another system")
    if across.friedman_p is not None and across.critical_difference is not None:
        notes.append(
            f"Friedman's test of all systems: p = {across.friedman_p:.4f}; ranks differ from"
            f" {across.critical_difference:.2f} on (Nemenyi)"
        )
    title = f"Over {len(across.data_sets)} data sets: {comparison.metric}"
    return TextTable(title, columns, rows, notes, "data_sets")


def gains_table(comparison: Comparison) -> TextTable:
    """A row for each claim with an error reduction, as table 1 of Peters et al. (2018) has them."""
    groups = comparison.groups
    columns = ["data set", "metric", "n", "baseline", "its score", "system", "score", "increase"]
    columns += ["relative error reduction % [95 %]", "p (Holm)", "found"]
    rows = []
    for claim in comparison.claims:
        system, baseline = groups[claim.first], groups[claim.second]
        if claim.error_reduction is not None:
            row = [system.data_set or "all", system.metric, str(system.num_units)]
            row += [baseline.system, with_half_width(baseline.interval)]
            row += [system.system, with_half_width(system.interval)]
            row += [f"{claim.retrained.difference.estimate:+.2f}", with_ends(claim.error_reduction)]
            row += evidence_cells(claim.retrained)[2:]
            rows.append(row)
    notes = [
        "relative error reduction: how much smaller the error, 100 - score, is than the baseline's, in"
        " percent of that; of the errors' geometric means over runs, with an interval of Student's t of the"
        " logarithms (paired where runs are)"
    ]
    return TextTable(f"Gains: {comparison.metric} beside the baseline's", columns, rows, notes, "gains")


def budget_table(comparison: Comparison) -> TextTable:
    """A row for each search: the expected best score on dev of some numbers of trials."""
    longest = max(len(curve.expected) for curve in comparison.budget_curves)
    budgets = [number for number in _BUDGETS if number < longest] + [longest]
    rows = [[curve.label, *(_at(curve, number) for number in budgets)] for curve in comparison.budget_curves]
    columns = ["search", *(f"{number} trial{'s' * (number > 1)}" for number in budgets)]
    title = f"Budget: expected best {comparison.dev_metric} of k trials, with one deviation"
    return TextTable(title, columns, rows, [], "budget")


def _at(curve: BudgetCurve, number: int) -> str:
    if number > len(curve.expected):
        return ""
    place = number - 1
    return f"{curve.expected[place]:.2f} [{curve.low[place]:.2f}, {curve.high[place]:.2f}]"
