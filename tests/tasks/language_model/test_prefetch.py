"""Tests of building batches ahead: the same batches, a position that is that of the batch in use, errors."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch

from elmo.errors import InputError
from tasks.language_model.prefetch import DEPTH, Prefetched

CPU = torch.device("cpu")


class Numbers:
    """Batches that are numbers; some cannot be built."""

    def __init__(self, broken: int | None = None) -> None:
        self.taken, self.broken = 0, broken

    def __next__(self) -> int:
        self.taken += 1
        if self.taken == self.broken:
            raise InputError(f"text.txt: batch {self.taken} cannot be read")
        return self.taken

    def state_dict(self) -> dict[str, Any]:
        return {"taken": self.taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.taken = state["taken"]


def settled(numbers: Numbers) -> int:
    """How many batches are built when no more are."""
    before = -1
    while before != numbers.taken:
        before = numbers.taken
        time.sleep(0.05)
    return before


def test_the_batches_and_their_order_are_the_same() -> None:
    batches = Prefetched(Numbers(), device=CPU)
    assert [next(batches) for _ in range(20)] == list(range(1, 21))


def test_few_batches_are_built_ahead_and_none_before_the_first_is_asked_for() -> None:
    numbers = Numbers()
    batches = Prefetched(numbers, device=CPU)
    assert settled(numbers) == 0
    next(batches)
    assert settled(numbers) == 1 + DEPTH


def test_the_position_is_that_of_the_last_batch_taken() -> None:
    numbers = Numbers()
    batches = Prefetched(numbers, device=CPU)
    assert batches.state_dict() == {"taken": 0}
    next(batches), next(batches)
    settled(numbers)
    state = batches.state_dict()
    assert state == {"taken": 2}
    resumed = Prefetched(Numbers(), device=CPU)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    assert next(resumed) == next(batches) == 3


def test_a_position_that_is_loaded_discards_what_was_built_ahead() -> None:
    batches = Prefetched(Numbers(broken=9), device=CPU)
    for _ in range(7):
        next(batches)
    batches.load_state_dict({"taken": 3})  # by now, the ninth batch was tried
    assert [next(batches) for _ in range(5)] == [4, 5, 6, 7, 8]


def test_an_error_is_raised_in_place_of_its_batch_and_again() -> None:
    batches = Prefetched(Numbers(broken=3), device=CPU)
    assert [next(batches), next(batches)] == [1, 2]
    for _ in range(2):
        with pytest.raises(InputError, match=r"^text\.txt: batch 3 cannot be read$"):
            next(batches)
    assert batches.state_dict() == {"taken": 2}
