"""Tests of the learning rate schedules against values worked by hand."""

from __future__ import annotations

import pytest

from elmo.errors import InputError
from experiments.training.optimization.schedules import (
    ConstantSchedule,
    CosineSchedule,
    InverseSquareRootSchedule,
    LinearSchedule,
)


@pytest.mark.parametrize(("step", "expected"), [(0, 0.25), (1, 0.5), (3, 1.0), (4, 1.0), (1000, 1.0)])
def test_constant_rises_in_a_straight_line_and_stays(step: int, expected: float) -> None:
    assert ConstantSchedule(warmup_steps=4).factor(step, 0.5) == expected


def test_without_warm_up_the_first_step_has_the_full_rate() -> None:
    assert ConstantSchedule(warmup_steps=0).factor(0, 0.0) == 1.0
    assert CosineSchedule(warmup_steps=0, final_factor=0.0).factor(0, 0.0) == 1.0
    assert LinearSchedule(warmup_steps=0, final_factor=0.0).factor(0, 0.0) == 1.0
    assert InverseSquareRootSchedule(warmup_steps=1).factor(0, 0.0) == 1.0


@pytest.mark.parametrize(
    ("progress", "expected"), [(0.0, 1.0), (1 / 3, 0.1 + 0.9 * 0.75), (0.5, 0.55), (1.0, 0.1), (1.7, 0.1)]
)
def test_cosine_falls_over_the_run_to_its_final_factor(progress: float, expected: float) -> None:
    schedule = CosineSchedule(warmup_steps=2, final_factor=0.1)
    assert schedule.factor(1, progress) == pytest.approx(expected)
    assert schedule.factor(0, progress) == pytest.approx(expected / 2)


@pytest.mark.parametrize(
    ("progress", "expected"), [(0.0, 1.0), (0.25, 0.8), (0.5, 0.6), (1.0, 0.2), (2.0, 0.2)]
)
def test_linear_falls_over_the_run_to_its_final_factor(progress: float, expected: float) -> None:
    schedule = LinearSchedule(warmup_steps=4, final_factor=0.2)
    assert schedule.factor(10, progress) == pytest.approx(expected)
    assert schedule.factor(2, progress) == pytest.approx(0.75 * expected)


@pytest.mark.parametrize(("step", "expected"), [(0, 0.25), (2, 0.75), (3, 1.0), (15, 0.5), (63, 0.25)])
def test_inverse_square_root_rises_and_falls_with_the_step(step: int, expected: float) -> None:
    assert InverseSquareRootSchedule(warmup_steps=4).factor(step, 0.9) == pytest.approx(expected)


def test_impossible_values_are_refused_by_their_key() -> None:
    with pytest.raises(InputError, match=r"schedule\.warmup_steps: expected at least 0, got -1"):
        ConstantSchedule(warmup_steps=-1)
    with pytest.raises(InputError, match=r"schedule\.warmup_steps: expected at least 1, got 0"):
        InverseSquareRootSchedule(warmup_steps=0)
    with pytest.raises(
        InputError, match=r"schedule\.final_factor: expected at least 0 and at most 1, got 1\.5"
    ):
        CosineSchedule(warmup_steps=0, final_factor=1.5)
    with pytest.raises(
        InputError, match=r"schedule\.final_factor: expected at least 0 and at most 1, got -0\.5"
    ):
        LinearSchedule(warmup_steps=0, final_factor=-0.5)
