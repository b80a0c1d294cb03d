"""What is compared: the metric of each test set, and which runs have none in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from elmo.errors import InputError, suggest
from experiments.compare.comparison import Goal
from experiments.compare.reading import by_value, names
from experiments.io.run_record import RunRecord

ANY_SCORE = "score"  # the name of what is compared where the test sets have metrics of their own
_LOWER_IS_BETTER = ("loss", "perplexity", "error")  # parts of the names of such metrics


def metric_of(run: RunRecord, wanted: str | None) -> str:
    """The metric of a run without the split: the wanted one, or the one that chose its model."""
    return (wanted or _own_of(run)).rpartition("/")[2]


def refuse_different_tasks(runs: Sequence[RunRecord]) -> None:
    """InputError if runs with the same test set are of several tasks."""
    for same in _by_test_set(runs):
        found = by_value(same, lambda run: str(run.section("task").get("type")))
        if len(found) > 1:
            parts = [f"{task} ({names(paths)})" for task, paths in found.items()]
            raise InputError(f"runs of different tasks: {'; '.join(parts)}; compare those of one")


def goal_of(runs: Sequence[RunRecord], wanted: str | None) -> Goal:
    """The goal of the runs' metrics, of which each test set has one.

    Raises:
        InputError: the runs of a test set have different ones, a run has no such score, or the goals differ.
    """
    for same in _by_test_set(runs):
        found = by_value(same, _own_of)
        if wanted is None and len({name.rpartition("/")[2] for name in found}) > 1:
            parts = "; ".join(f"{name} ({names(paths)})" for name, paths in found.items())
            raise InputError(f"the runs chose their models by different metrics: {parts}; give metric=NAME")
    for metric in dict.fromkeys(metric_of(run, wanted) for run in runs):
        _refuse_absent([run for run in runs if metric_of(run, wanted) == metric], metric)
    goals = by_value(runs, lambda run: _goal(run, metric_of(run, wanted)))
    if len(goals) > 1:
        parts = "; ".join(f"{goal} ({names(paths)})" for goal, paths in goals.items())
        raise InputError(f"metrics with different goals are not compared: {parts}; give metric=NAME")
    return next(iter(goals))  # type: ignore[no-any-return]


def shared_name(metrics: Iterator[str]) -> str:
    """The name of all metrics, or of any of them where they differ."""
    found = set(metrics)
    return found.pop() if len(found) == 1 else ANY_SCORE


def _refuse_absent(runs: Sequence[RunRecord], metric: str) -> None:
    without = [run for run in runs if f"test/{metric}" not in run.figures]
    if without:
        known = [key.removeprefix("test/") for key in without[0].figures if key.startswith("test/")]
        paths = names(run.path for run in without)
        raise InputError(f"metric: no test/{metric} in {paths}{suggest(metric, known)}")


def _goal(run: RunRecord, metric: str) -> Goal:
    goal = run.section("trainer").get("metric_goal")
    if _own_of(run).rpartition("/")[2] == metric and goal is not None:
        return "minimize" if goal == "minimize" else "maximize"
    return "minimize" if any(word in metric for word in _LOWER_IS_BETTER) else "maximize"


def _own_of(run: RunRecord) -> str:
    return str(run.section("trainer").get("metric"))


def _by_test_set(runs: Sequence[RunRecord]) -> list[list[RunRecord]]:
    found: dict[str | None, list[RunRecord]] = {}
    for run in runs:
        found.setdefault(run.fingerprints.get("test"), []).append(run)
    return list(found.values())
