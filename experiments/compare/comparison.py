"""What a comparison of runs has found, as plain values for its tables, pictures and files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from experiments.compare.statistics.intervals import LEVEL
from experiments.io.run_record import RunRecord
from experiments.sweep.record import SweepRecord

Goal = Literal["maximize", "minimize"]


class Interval(NamedTuple):
    """An estimate with the ends of its interval; both are None where there is none, as for one run."""

    estimate: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Costs:
    """What runs have cost; None where a run has not stored it.

    Attributes:
        parameters_trained, parameters_frozen: of a model.
        seconds: of one run, the mean.
        hours: of all runs.
        peak_memory_bytes: of the process, the largest; on a GPU that of its tensors.
    """

    parameters_trained: int | None
    parameters_frozen: int | None
    seconds: float | None
    hours: float
    peak_memory_bytes: int | None


@dataclass(frozen=True, eq=False)
class Group:
    """Runs that differ in nothing but what the comparison is over, such as the seed.

    Attributes:
        label: what the group has of its own, such as `elmo, bilstm`.
        key: the values of the keys that the comparison is by.
        system: the label without the data set.
        data_set: the value of the key that decides the test set; empty if all groups have the same.
        metric: of the scores, without the split; each data set has its own.
        runs: R records, sorted by what the comparison is over.
        scores: (R,) test scores.
        dev_scores: (R,) scores on dev of the same models; NaN where there is none.
        seeds: (R,).
        bilms: (R,) which biLM each run started from, None without one.
        interval: of the mean test score over `num_units`: Student's t. In a study, whose trials are no
            repetitions, the test score of the trial that is best on dev, without an interval.
        dev_interval: the same on dev.
        deviation: the standard deviation of a unit's test score; None if there is one unit.
        num_units: the independent repetitions: runs, or with several biLMs the biLMs.
        costs: of these runs.
        examples: (R, N) test scores of each example, or (R, N, 2) numerators and denominators where the score
            is the ratio of their sums, as F1 is; None where a run has not stored them.
    """

    label: str
    key: dict[str, Any]
    system: str
    data_set: str
    metric: str
    runs: list[RunRecord]
    scores: np.ndarray
    dev_scores: np.ndarray
    seeds: list[Any]
    bilms: list[str | None]
    interval: Interval
    dev_interval: Interval
    deviation: float | None
    num_units: int
    costs: Costs
    examples: np.ndarray | None = None

    def mean_of(self, figure: str) -> float:
        """The mean of a figure over the runs; NaN if one of them does not have it."""
        values = [run.figures.get(figure) for run in self.runs]
        known = [float(value) for value in values if isinstance(value, (int, float))]
        return float(np.mean(known)) if len(known) == len(values) else math.nan


@dataclass(frozen=True)
class Evidence:
    """What a test says of a difference.

    Attributes:
        difference: the first group's mean minus the second's, with its interval.
        p: two-sided; None if there is nothing to test with.
        adjusted_p: by Holm, over all pairs of the comparison that have a p under the same claim.
        design: the test in words.
        reason: why there is no p.
    """

    difference: Interval
    p: float | None
    adjusted_p: float | None
    design: str
    reason: str | None = None

    @property
    def is_found(self) -> bool:
        """Whether the corrected test rejects "no difference", at 1 - LEVEL."""
        return self.adjusted_p is not None and self.adjusted_p < 1 - LEVEL


@dataclass(frozen=True)
class Claim:
    """Two groups with the same test set, and the two claims about them, which are never mixed.

    Attributes:
        first, second: places of the groups in the comparison.
        retrained: "the method, retrained": over seeds or biLMs. The headline.
        examples: "these models, on new examples": over test examples; None without scores of each example.
        smallest_difference: the true difference that this number of runs finds with a power of 80 %.
        units_needed: the runs of each group, or pairs, that the wanted difference needs; None if none was
            wanted, or more than 100,000.
        almost_stochastic: the upper bound of the violation ratio of "the first group's scores are
            stochastically larger (of a metric to minimise: smaller)"; below 0.2 the first group may be called
            better. None with fewer than three runs of a group.
        probability_of_improvement: that a run of the first group is better than one of the second.
        error_reduction: of the first group relative to the second in percent, as in Peters et al. (2018,
            table 1); None unless it was asked for.
    """

    first: int
    second: int
    retrained: Evidence
    examples: Evidence | None
    smallest_difference: float | None
    units_needed: int | None
    almost_stochastic: float | None = None
    probability_of_improvement: Interval | None = None
    error_reduction: Interval | None = None


class LeftOut(NamedTuple):
    """A run that is in no group, and why."""

    path: Path
    reason: str
    hours: float


class BudgetCurve(NamedTuple):
    """The expected best score on dev of k trials (Dodge et al. 2019), for each k from 1 on.

    Attributes:
        label: of what the trials are of.
        expected, low, high: (K,).
    """

    label: str
    expected: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True, eq=False)
class AcrossDataSets:
    """S systems on D >= 2 data sets.

    Attributes:
        systems, data_sets: names.
        interquartile_means: of all runs' scores, S of them, with stratified bootstrap intervals.
        thresholds: (T,) scores at which the profiles are computed.
        profiles: (S, T) the share of runs above a threshold, the data sets counting the same; of a metric to
            minimise, below it.
        profile_low, profile_high: (S, T) their bands.
        improvement: (S, S) the mean probability that a run of the system in the row is better.
        ranks: (S,) mean ranks over the data sets, 1 the best; None with fewer than five data sets.
        rank_p: (S, S) corrected p-values of the pairs; None likewise.
        friedman_p: of the test that all systems are equal; None likewise.
        critical_difference: of mean ranks, from which on a pair differs at 5 %; None likewise.
    """

    systems: list[str]
    data_sets: list[str]
    interquartile_means: list[Interval]
    thresholds: np.ndarray
    profiles: np.ndarray
    profile_low: np.ndarray
    profile_high: np.ndarray
    improvement: np.ndarray
    ranks: np.ndarray | None = None
    rank_p: np.ndarray | None = None
    friedman_p: float | None = None
    critical_difference: float | None = None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Groups of runs, what may be claimed of their differences, and what all of it has cost.

    Attributes:
        metric: on the test split, such as `test/accuracy`; `test/score` where data sets have different ones.
        dev_metric: the same on dev.
        goal: of the metric.
        by: the keys whose values make the groups.
        over: the keys whose values are repetitions.
        groups: in the order of their keys' values.
        claims: of all pairs with the same test set, or of all groups against the baseline.
        chosen: of each data set the place of the group with the best mean on dev. The test scores choose
            nothing.
        left_out: runs that are in no group.
        warnings: lines for the reader.
        hours, lost_hours: device-hours of all runs, pretraining included, and of failed and unfinished ones.
        device: the names of processors and GPUs.
        sweep: the record of the sweep or study that was compared.
        budget_curves: where several configurations were tried.
        across: where there are several data sets.
        against: the figure of the runs that the score is shown against.
        level: of the intervals.
    """

    metric: str
    dev_metric: str
    goal: Goal
    by: list[str]
    over: list[str]
    groups: list[Group]
    claims: list[Claim]
    chosen: dict[str, int]
    left_out: list[LeftOut]
    warnings: list[str]
    hours: float
    lost_hours: float
    device: str
    sweep: SweepRecord | None = None
    budget_curves: Sequence[BudgetCurve] = ()
    across: AcrossDataSets | None = None
    against: str | None = None
    level: float = field(default=LEVEL)

    @property
    def data_sets(self) -> list[str]:
        """The data sets in the order of the groups; one empty name if all groups have the same test set."""
        return list(dict.fromkeys(group.data_set for group in self.groups))

    @property
    def metrics(self) -> dict[str, str]:
        """The metric of each data set without the split."""
        return {group.data_set: group.metric for group in self.groups}

    @property
    def has_metrics(self) -> bool:
        """Whether data sets have metrics of their own."""
        return len(set(self.metrics.values())) > 1

    @property
    def is_study(self) -> bool:
        """Whether the runs are the trials of a search, which are no repetitions of one method."""
        return self.sweep is not None and self.sweep.kind == "study"
