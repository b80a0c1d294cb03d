"""The points of runs' curves, and their mean and band."""

from __future__ import annotations

import numpy as np
from scipy import stats

from experiments.compare.figures.curves import Curve, band_of, curve_of, mean_curve


def curve(steps: list[float], y: list[float], *, pace: float = 1.0) -> Curve:
    return Curve(np.array(steps), pace * np.array(steps), np.array(y))


def test_the_last_event_of_a_step_counts_and_others_are_left_out() -> None:
    events = [
        {"step": 10, "seconds": 1.0, "dev/f1": 50.0},
        {"step": 15, "seconds": 1.5, "train/loss": 2.0},
        {"step": 20, "seconds": 2.0, "dev/f1": 60.0},
        {"step": 30, "seconds": 3.0, "dev/f1": None},
        {"step": 20, "seconds": 2.5, "dev/f1": 61.0},  # resumed at step 10
    ]
    steps, x, y = curve_of(events, "dev/f1", unit="seconds")
    assert (steps.tolist(), x.tolist(), y.tolist()) == ([10, 20], [1.0, 2.5], [50, 61])
    assert len(curve_of(events, "dev/f1", unit="tokens").x) == 0


def test_the_band_is_student_s_t_interval_at_each_point() -> None:
    values = np.array([[1.0, 5.0], [2.0, 5.5], [4.0, 9.0]])
    band = band_of(np.arange(2), values)
    low, high = stats.t.interval(0.95, 2, values.mean(axis=0), stats.sem(values))
    np.testing.assert_allclose([band.low, band.high], [low, high])
    assert np.isnan(band_of(np.arange(2), values[:1]).low).all()


def test_the_mean_ends_with_the_shortest_run() -> None:
    band = mean_curve([curve([1, 2, 3], [1, 2, 3]), curve([1, 2], [3, 4], pace=3.0)])
    assert band is not None
    assert (band.x.tolist(), band.mean.tolist()) == ([2, 4], [2, 3])


def test_curves_of_other_steps_are_interpolated_where_all_have_values() -> None:
    band = mean_curve([curve([0, 10], [0, 10]), curve([4, 12], [4, 12])])
    assert band is not None
    assert (band.x[0], band.x[-1]) == (4, 10)
    np.testing.assert_allclose(band.mean, band.x)
    assert mean_curve([curve([1, 2], [1, 1]), curve([3, 4], [1, 1])]) is None
