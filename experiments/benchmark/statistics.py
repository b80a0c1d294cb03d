"""False alarms and coverage of a comparison's statistics: `experiments.benchmark statistics`.

Two methods that do not differ are compared again and again. Each comparison has a test set of its own, whose
examples are of different difficulty; a run answers each by chance, better or worse on the whole by what its
seed adds, so that the scores of runs on a test set have the deviation that is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from elmo.errors import InputError
from experiments.compare.statistics.aggregates import interquartile_mean
from experiments.compare.statistics.checks import Floats
from experiments.compare.statistics.intervals import LEVEL, percentiles, resampled_sums, t_interval
from experiments.compare.statistics.new_examples import compare_on_examples
from experiments.compare.statistics.retrained import compare_independent
from experiments.config.schema import BenchmarkStatisticsConfig
from experiments.logging.progress import Progress, make_progress, summary_table
from experiments.logging.report import write_figures

NUM_SEEDS = (3, 5, 10)  # of each method
ACCURACY = 0.88  # the mean over all test sets
DISAGREEMENT = 0.13  # the share of examples on which two runs of a method differ, but for what a seed adds
NUM_DATA_SETS = 5  # of the interquartile mean
NUM_RESAMPLES = 1000
COLUMNS = {  # of the first table
    "retrained_false_alarms": "retrained: false alarms",
    "retrained_coverage": "its interval covers",
    "seeds_coverage": "t over seeds covers",
    "examples_false_alarms": "examples, read as retrained: false alarms",
}
BOOTSTRAP_COLUMNS = {
    "bootstrap_coverage": "bootstrap over seeds covers",
    "interquartile_coverage": f"interquartile mean of {NUM_DATA_SETS} data sets, stratified bootstrap covers",
}


def statistics(config: BenchmarkStatisticsConfig) -> None:
    """Simulate comparisons, and print the shares of false alarms and of intervals that cover, in percent."""
    least = 100 * math.sqrt(DISAGREEMENT / 2 / config.num_examples)
    for deviation in config.deviations:
        if deviation <= least:
            raise InputError(
                f"deviations: {deviation:g} is not above the {least:.2f} points that chance alone makes of"
                f" {config.num_examples} examples"
            )
    figures: dict[str, float] = {}
    with make_progress(config.progress.value, title="simulating", unit="comparisons") as progress:
        for place, deviation in enumerate(config.deviations):
            generator = np.random.default_rng([config.seed, place])
            outcomes = np.zeros((len(NUM_SEEDS), len(COLUMNS)))
            for number in range(config.num_comparisons):
                outcomes += compare(*simulate(generator, config.num_examples, deviation))
                _tell(progress, config, place, number)
            figures |= _shares(outcomes / config.num_comparisons, f"deviation_{deviation:g}/", COLUMNS)
        generator, outcomes = np.random.default_rng(config.seed), np.zeros((len(NUM_SEEDS), 2))
        for number in range(config.num_comparisons):
            outcomes += bootstrap(generator)
            _tell(progress, config, len(config.deviations), number)
        figures |= _shares(outcomes / config.num_comparisons, "", BOOTSTRAP_COLUMNS)
    _print(figures, config.deviations)
    if config.output is not None:
        write_figures(Path(config.output), figures)


def simulate(generator: np.random.Generator, num_examples: int, deviation: float) -> tuple[np.ndarray, float]:
    """Answers of the runs of two equal methods on a new test set, and their expected score in percent.

    A better seed turns a share of what would be wrong answers into right ones, a worse seed the other way.

    Args:
        deviation: of the scores over seeds, in points.

    Returns:
        Whether each answer is right, (2, seeds, examples); the score of the mean seed on this test set.
    """
    share = DISAGREEMENT / 2 / (ACCURACY * (1 - ACCURACY))
    strength = share / (1 - share)  # so that the mean of p (1 - p) is half the disagreement
    right = generator.beta(ACCURACY * strength, (1 - ACCURACY) * strength, num_examples)
    by_chance = DISAGREEMENT / 2 / num_examples
    gains = generator.normal(0.0, math.sqrt((deviation / 100) ** 2 - by_chance), (2, max(NUM_SEEDS), 1))
    mean = float(right.mean())
    better = right + (1 - right) * gains / (1 - mean)
    chances = np.where(gains > 0, better, right * (1 + gains / mean))
    return generator.random(chances.shape) < chances, 100 * mean


def compare(answers: np.ndarray, expected: float) -> Floats:
    """Which figures of `COLUMNS` come true in a comparison: (numbers of seeds, columns) of 0 and 1."""
    return np.array([_compare(100.0 * answers[:, :n], expected) for n in NUM_SEEDS], dtype=float)


def _compare(scores: Floats, expected: float) -> list[bool]:
    first, second = scores.mean(axis=-1)
    retrained, interval = compare_independent(first, second), t_interval(first)
    examples = compare_on_examples(*scores)
    alarm = retrained.p is not None and retrained.p < 1 - LEVEL
    covers = retrained.low is not None and retrained.high is not None and retrained.low <= 0 <= retrained.high
    return [
        alarm,
        covers,
        interval is not None and interval.low <= expected <= interval.high,
        examples.p < 1 - LEVEL,
    ]


def bootstrap(generator: np.random.Generator) -> Floats:
    """Which bootstrap intervals cover the true mean, of normal scores, (numbers of seeds, 2) of 0 and 1."""
    return np.array([_bootstrap(generator, n) for n in NUM_SEEDS], dtype=float)


def _bootstrap(generator: np.random.Generator, num_seeds: int) -> list[bool]:
    scores = generator.normal(size=(NUM_DATA_SETS, num_seeds))
    seed = int(generator.integers(2**32))
    means = resampled_sums(scores[0][:, None], NUM_RESAMPLES, seed=seed)[:, 0] / num_seeds
    low, high = percentiles(means, LEVEL)
    middle = interquartile_mean(list(scores), num_resamples=NUM_RESAMPLES, seed=seed)
    assert middle.low is not None and middle.high is not None
    return [low <= 0 <= high, bool(middle.low <= 0 <= middle.high)]


def _shares(shares: Floats, prefix: str, columns: Iterable[str]) -> dict[str, float]:
    return {
        f"{prefix}seeds_{n}/{column}": 100 * float(share)
        for n, row in zip(NUM_SEEDS, shares, strict=True)
        for column, share in zip(columns, row, strict=True)
    }


def _tell(progress: Progress, config: BenchmarkStatisticsConfig, part: int, number: int) -> None:
    if number % 20 == 0:
        done = part * config.num_comparisons + number
        progress.update(fraction=done / ((len(config.deviations) + 1) * config.num_comparisons), tokens=done)


def _print(figures: dict[str, float], deviations: Sequence[float]) -> None:
    summary_table(
        [
            [f"{deviation:g}", f"{n} + {n}"]
            + [figures[f"deviation_{deviation:g}/seeds_{n}/{column}"] for column in COLUMNS]
            for deviation in deviations
            for n in NUM_SEEDS
        ],
        columns=["deviation", "seeds", *COLUMNS.values()],
        title="Two methods that do not differ, in percent (tests at 5 %, intervals of 95 %)",
    )
    summary_table(
        [[str(n), *[figures[f"seeds_{n}/{column}"] for column in BOOTSTRAP_COLUMNS]] for n in NUM_SEEDS],
        columns=["seeds", *BOOTSTRAP_COLUMNS.values()],
        title="Percentile intervals of 95 %, in percent",
    )
