"""The tables of a comparison as columns and rows of text, for the terminal, Markdown and W&B."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from experiments.compare.comparison import Claim, Comparison, Evidence, Group, Interval
from experiments.compare.differences import shown_value

RETRAINED = "The method, retrained"
ON_NEW_EXAMPLES = "These models, on new examples"


class TextTable(NamedTuple):
    """A table.

    Attributes:
        title: a line.
        columns: their names.
        rows: their texts.
        notes: lines below it.
        name: in one word.
    """

    title: str
    columns: list[str]
    rows: list[list[str]]
    notes: list[str]
    name: str


def group_table(comparison: Comparison) -> TextTable:
    """A row for each group: scores with intervals, validation beside test, and costs."""
    keys = comparison.by or ["runs"]
    against = [] if comparison.against is None else [comparison.against]
    columns = [*keys, *["metric"] * comparison.has_metrics, *against, "n"]
    columns += [f"{comparison.metric} (95 % interval)", comparison.dev_metric, "chosen on dev"]
    columns += ["trained", "frozen", "s per run", "device-hours", "peak MiB"]
    rows = [
        [
            *([shown_value(group.key[key]) for key in comparison.by] or [group.label]),
            *[group.metric] * comparison.has_metrics,
            *("" if math.isnan(mean := group.mean_of(name)) else f"{mean:.4g}" for name in against),
            _number_of_runs(group),
            with_half_width(group.interval),
            "" if math.isnan(group.dev_interval.estimate) else with_half_width(group.dev_interval),
            "yes" if comparison.chosen[group.data_set] == place and len(comparison.groups) > 1 else "",
            *cost_cells(group),
        ]
        for place, group in enumerate(comparison.groups)
    ]
    best = {"maximize": "higher", "minimize": "lower"}[comparison.goal]
    what = f"mean over {', '.join(comparison.over)}"
    if comparison.is_study:
        what = "of the trial that is best on dev"
    title = f"{comparison.metric}, {best} is better: {what}"
    notes = [
        f"{comparison.hours:.2f} device-hours in all, {comparison.lost_hours:.2f} of them of runs in no"
        f" group: failed, unfinished or pruned ({comparison.device})"
    ]
    return TextTable(title, columns, rows, notes, "groups")


def retrained_table(comparison: Comparison) -> TextTable:
    """The headline: a row for each pair."""
    columns = ["pair", "difference (95 % interval)", "p", "p (Holm)", "found", "finds from"]
    wants_number = any(claim.units_needed is not None for claim in comparison.claims)
    wants_reduction = any(claim.error_reduction is not None for claim in comparison.claims)
    has_order = any(claim.almost_stochastic is not None for claim in comparison.claims)
    columns += ["better runs", "order"] * has_order
    columns += ["runs needed"] * wants_number + ["error reduction %"] * wants_reduction
    rows = []
    for claim in comparison.claims:
        row = [pair_name(comparison, claim), *evidence_cells(claim.retrained)]
        row.append("" if claim.smallest_difference is None else f"{claim.smallest_difference:.2f}")
        if has_order:
            row += _order_cells(claim)
        if wants_number:
            row.append("" if claim.units_needed is None else f"{claim.units_needed:,}")
        if wants_reduction:
            row.append("" if claim.error_reduction is None else with_ends(claim.error_reduction))
        rows.append(row)
    notes = [
        *dict.fromkeys(claim.retrained.design for claim in comparison.claims),
        *dict.fromkeys(claim.retrained.reason for claim in comparison.claims if claim.retrained.reason),
        f"Holm's correction over {_pairs_tested([claim.retrained for claim in comparison.claims])}; finds"
        " from: the smallest true difference that these runs find with a power of 80 %",
    ]
    if has_order:
        notes.append(
            "better runs: the probability that a run of the first is better; order: the bound of almost"
            " stochastic order, the first is almost always better below 0.2"
        )
    return TextTable(f"{RETRAINED}: differences of {comparison.metric}", columns, rows, notes, "retrained")


def examples_table(comparison: Comparison) -> TextTable:
    """The second claim: a row for each pair whose runs have stored the scores of each example."""
    rows = [
        [pair_name(comparison, claim), *evidence_cells(claim.examples)]
        for claim in comparison.claims
        if claim.examples is not None
    ]
    found = [claim.examples for claim in comparison.claims if claim.examples is not None]
    designs = list(dict.fromkeys(each.design for each in found))
    notes = [designs[0] if len(designs) == 1 else f"{designs[0]}, and the like for the other pairs"]
    notes.append(
        f"Holm's correction over {_pairs_tested(found)}. It says nothing of the methods trained again."
    )
    columns = ["pair", "difference (95 % interval)", "p", "p (Holm)", "found"]
    title = f"{ON_NEW_EXAMPLES}: differences of {comparison.metric}"
    return TextTable(title, columns, rows, notes, "new_examples")


def pair_name(comparison: Comparison, claim: Claim) -> str:
    """The two groups, such as `elmo - word`."""
    first, second = comparison.groups[claim.first], comparison.groups[claim.second]
    where = f"{first.data_set}: " if first.data_set else ""
    return f"{where}{first.system} - {second.system}"


def best_of(comparison: Comparison) -> set[int]:
    """The groups that are best in their data set and, after Holm's correction, found better than every other.

    Where not all pairs were tested, as with a baseline, none is.
    """
    sign = 1 if comparison.goal == "maximize" else -1
    beaten: dict[int, set[int]] = {}
    for claim in comparison.claims:
        if claim.retrained.is_found:
            is_first = sign * claim.retrained.difference.estimate > 0
            winner, loser = (claim.first, claim.second) if is_first else (claim.second, claim.first)
            beaten.setdefault(winner, set()).add(loser)
    groups = comparison.groups
    rivals = {
        place: {
            other for other, each in enumerate(groups) if each.data_set == group.data_set and other != place
        }
        for place, group in enumerate(groups)
    }
    return {place for place, others in rivals.items() if others and beaten.get(place) == others}


def with_half_width(interval: Interval) -> str:
    """Such as `83.12 ± 0.45`; without an interval the estimate alone."""
    half = "" if interval.high is None else f" ± {interval.high - interval.estimate:.2f}"
    return f"{interval.estimate:.2f}{half}"


def with_ends(interval: Interval) -> str:
    """Such as `+1.20 [+0.40, +2.00]`."""
    ends = "" if interval.low is None else f" [{interval.low:+.2f}, {interval.high:+.2f}]"
    return f"{interval.estimate:+.2f}{ends}"


def shown_p(p: float | None) -> str:
    """A p-value as it is printed."""
    return "" if p is None else "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def cost_cells(group: Group) -> list[str]:
    """Parameters trained and frozen, seconds, device-hours and peak memory of a group."""
    costs = group.costs
    return [
        "" if costs.parameters_trained is None else f"{costs.parameters_trained:,}",
        "" if costs.parameters_frozen is None else f"{costs.parameters_frozen:,}",
        "" if costs.seconds is None else f"{costs.seconds:,.1f}",
        f"{costs.hours:.3f}",
        "" if costs.peak_memory_bytes is None else f"{costs.peak_memory_bytes / 2**20:,.0f}",
    ]


def _number_of_runs(group: Group) -> str:
    if group.num_units == len(group.runs):
        return str(len(group.runs))
    return (
        f"{group.num_units} biLMs, {len(group.runs)} runs"
        if group.deviation is not None
        else str(len(group.runs))
    )


def evidence_cells(evidence: Evidence | None) -> list[str]:
    """The difference, p, p after the correction, and whether a difference was found."""
    if evidence is None:
        return ["", "", "", ""]
    found = "" if evidence.adjusted_p is None else "yes" if evidence.is_found else "no"
    return [with_ends(evidence.difference), shown_p(evidence.p), shown_p(evidence.adjusted_p), found]


def _order_cells(claim: Claim) -> list[str]:
    better, order = claim.probability_of_improvement, claim.almost_stochastic
    return ["" if better is None else f"{better.estimate:.2f}", "" if order is None else f"{order:.2f}"]


def _pairs_tested(evidence: Sequence[Evidence]) -> str:
    number = sum(each.p is not None for each in evidence)
    return f"{number} pair{'s' * (number != 1)}"
