"""A comparison with made-up scores, curves and claims, for tests of what is printed and drawn."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.compare.comparison import (
    AcrossDataSets,
    BudgetCurve,
    Claim,
    Comparison,
    Costs,
    Evidence,
    Group,
    Interval,
)
from experiments.compare.statistics.intervals import t_interval
from experiments.io.run_record import RunRecord


def sample_run(path: Path, score: float, *, seed: int, figures: dict[str, float | None]) -> RunRecord:
    """A finished run with five evaluations, which differ by the seed's noise."""
    path.mkdir(parents=True)
    noise = np.random.default_rng(seed).normal(0, 0.5, 5)
    events = [
        {"step": 50 * i, "examples": 1600 * i, "seconds": (9.0 + seed) * i, "dev/accuracy": value}
        for i, value in enumerate((score - 30 / np.arange(1, 6) + noise).tolist(), 1)
    ]
    (path / "metrics.jsonl").write_text("".join(f"{json.dumps(event)}\n" for event in events))
    final = {"test/accuracy": score, "dev/accuracy": score + 1, "seconds": 45.0, **figures}
    return RunRecord(path, {"seed": seed}, {}, [], final, "finished", None)


def sample_group(
    path: Path,
    key: dict[str, Any],
    scores: Sequence[float],
    *,
    data_set: str = "",
    system: str | None = None,
    figures: dict[str, float | None] | None = None,
    seconds: float = 45.0,
) -> Group:
    """A group of finished runs with these scores, the seeds counting from 1."""
    values = np.array(scores, dtype=float)
    name = ", ".join(str(value) for value in key.values()) if system is None else system
    interval = _interval(values)
    runs = [
        sample_run(path / f"{seed}", score, seed=seed, figures=figures or {})
        for seed, score in enumerate(scores, 1)
    ]
    return Group(
        label=f"{data_set}, {name}" if data_set else name,
        key=key,
        system=name,
        data_set=data_set,
        metric="accuracy",
        runs=runs,
        scores=values,
        dev_scores=values + 1,
        seeds=list(range(1, len(runs) + 1)),
        bilms=[None] * len(runs),
        interval=interval,
        dev_interval=_interval(values + 1),
        deviation=None if len(runs) == 1 else float(values.std(ddof=1)),
        num_units=len(runs),
        costs=Costs(
            parameters_trained=1000,
            parameters_frozen=5000,
            seconds=seconds,
            hours=seconds * len(runs) / 3600,
            peak_memory_bytes=2**28,
        ),
    )


def sample_comparison(groups: list[Group], *, over: Sequence[str] = ("seed",)) -> Comparison:
    """Groups with a claim for each pair on the same data set, and what several data sets allow."""
    pairs = [
        (i, j)
        for i in range(len(groups))
        for j in range(i + 1, len(groups))
        if groups[i].data_set == groups[j].data_set
    ]
    by = list(dict.fromkeys(key for group in groups for key in group.key))
    chosen = {
        name: max(
            (i for i, group in enumerate(groups) if group.data_set == name),
            key=lambda i: groups[i].dev_interval.estimate,
        )
        for name in dict.fromkeys(group.data_set for group in groups)
    }
    return Comparison(
        metric="test/accuracy",
        dev_metric="dev/accuracy",
        goal="maximize",
        by=by,
        over=list(over),
        groups=groups,
        claims=[_claim(groups, i, j) for i, j in pairs],
        chosen=chosen,
        left_out=[],
        warnings=[],
        hours=sum(group.costs.hours for group in groups),
        lost_hours=0.0,
        device="a processor",
        budget_curves=[_budget(groups)],
        across=_across(groups) if len(chosen) > 1 else None,
    )


def _interval(values: np.ndarray) -> Interval:
    found = t_interval(values)
    if found is None:
        return Interval(float(values.mean()), None, None)
    return Interval(found.mean, found.low, found.high)


def _claim(groups: list[Group], first: int, second: int) -> Claim:
    difference = groups[first].interval.estimate - groups[second].interval.estimate
    is_known = min(len(groups[first].runs), len(groups[second].runs)) > 1
    span = Interval(difference, difference - 1.5, difference + 1.5) if is_known else None
    p = (0.01 if abs(difference) > 1.5 else 0.4) if is_known else None
    reason = None if is_known else "a single run has no spread"
    retrained = Evidence(span or Interval(difference, None, None), p, p, "Welch's t test", reason)
    near = Interval(difference, difference - 0.5, difference + 0.5)
    examples = Evidence(near, 0.001, 0.001, "approximate randomisation over 1,821 examples")
    improvement = Interval(0.5 + np.tanh(difference) / 2, 0.1, 0.95) if is_known else None
    return Claim(first, second, retrained, examples, 2.0 if is_known else None, 9, 0.3, improvement)


def _budget(groups: list[Group]) -> BudgetCurve:
    best = np.maximum.accumulate(np.sort(np.concatenate([group.dev_scores for group in groups])))
    return BudgetCurve("all trials", best, best - 0.5, best + 0.5)


def _across(groups: list[Group]) -> AcrossDataSets:
    systems = list(dict.fromkeys(group.system for group in groups))
    data_sets = list(dict.fromkeys(group.data_set for group in groups))
    scores = [np.concatenate([group.scores for group in groups if group.system == name]) for name in systems]
    thresholds = np.linspace(min(map(np.min, scores)), max(map(np.max, scores)), 50)
    profiles = np.stack([(values[:, None] > thresholds).mean(axis=0) for values in scores])
    means = [Interval(float(values.mean()), values.mean() - 1, values.mean() + 1) for values in scores]
    order = np.argsort(np.argsort([-values.mean() for values in scores])) + 1.0
    is_ranked = len(data_sets) >= 5
    return AcrossDataSets(
        systems=systems,
        data_sets=data_sets,
        interquartile_means=means,
        thresholds=thresholds,
        profiles=profiles,
        profile_low=np.maximum(profiles - 0.1, 0),
        profile_high=np.minimum(profiles + 0.1, 1),
        improvement=np.array([[float((a[:, None] > b).mean()) for b in scores] for a in scores]),
        ranks=order if is_ranked else None,
        rank_p=(abs(order[:, None] - order) < 1.5).astype(float) if is_ranked else None,
    )
