"""Almost stochastic order against a fine numerical integral, and its false alarms with few seeds."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.compare.statistics.stochastic_order import stochastic_order


def by_integral(first: np.ndarray, second: np.ndarray) -> float:
    """The violation ratio by the middle points of many small steps of the quantile."""
    quantiles = (np.arange(100_000) + 0.5) / 100_000
    gaps = [np.quantile(side, quantiles, method="inverted_cdf") for side in (first, second)]
    squares = (gaps[0] - gaps[1]) ** 2
    return float(squares[gaps[0] < gaps[1]].sum() / squares.sum())


@pytest.mark.parametrize(("n", "m"), [(3, 3), (3, 5), (7, 4), (10, 20)])
def test_the_ratio_is_the_integral_over_the_quantiles(n: int, m: int) -> None:
    generator = np.random.default_rng(n * m)
    first, second = generator.normal(0.2, 1, n), generator.normal(0, 2, m)
    found = stochastic_order(first, second)
    assert found.ratio == pytest.approx(by_integral(first, second), abs=1e-3)
    assert stochastic_order(second, first).ratio == pytest.approx(1 - found.ratio)


def test_a_worked_example() -> None:
    # Sorted, the gaps are 1 - 2 = -1 and 5 - 3 = 2: of the squares 1 + 4 the first is a violation.
    assert stochastic_order([5.0, 1.0], [2.0, 3.0]).ratio == pytest.approx(0.2)


def test_a_method_that_is_always_better_has_no_violation() -> None:
    found = stochastic_order([81.0, 82.0, 83.0], [70.0, 71.0, 72.0])
    assert (found.ratio, found.bound) == (0.0, 0.0)
    found = stochastic_order([70.0, 71.0, 72.0], [81.0, 82.0, 83.0])
    assert (found.ratio, found.bound) == (1.0, 1.0)


def test_equal_scores_are_no_order() -> None:
    found = stochastic_order([80.0, 81.0, 82.0], [80.0, 81.0, 82.0])
    assert found.ratio == 0.5
    assert found.bound is not None and found.bound > 0.5


def test_fewer_than_three_runs_have_no_bound() -> None:
    assert stochastic_order([80.0, 81.0], [70.0, 71.0, 72.0]).bound is None
    assert stochastic_order([80.0], [70.0]).ratio == 0.0


def test_the_bound_is_the_ratio_and_its_deviation_over_draws_with_replacement() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.normal(0.5, 1, 12), generator.normal(0, 1, 12)
    found = stochastic_order(first, second)
    drawn = [by_draw(first, second, generator) for _ in range(1000)]
    assert found.bound == pytest.approx(found.ratio + 1.645 * np.std(drawn), abs=0.03)


def by_draw(first: np.ndarray, second: np.ndarray, generator: np.random.Generator) -> float:
    """The ratio of samples of equal size, drawn with replacement."""
    gaps = np.sort(generator.choice(first, len(first))) - np.sort(generator.choice(second, len(second)))
    return float((gaps[gaps < 0] ** 2).sum() / (gaps**2).sum())


def test_false_alarms_are_as_the_documentation_says() -> None:
    generator = np.random.default_rng(1)
    found = [stochastic_order(*generator.normal(size=(2, 5)), num_resamples=300, seed=i) for i in range(600)]
    bounds = np.array([order.bound for order in found])
    assert (bounds < 0.2).mean() == pytest.approx(0.06, abs=0.03)
    assert (bounds < 0.5).mean() == pytest.approx(0.2, abs=0.05)
