"""Training batches have a number, and a plan that depends on the seed and this number only."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from elmo.bilm.softmaxes.sampled import SampledSoftmax
from tasks.language_model.model import Batch
from tasks.language_model.training_batches import TrainingBatches


class Endless:
    """Batches that all have the same targets."""

    def __init__(self) -> None:
        self.taken = 0

    def __next__(self) -> Batch:
        self.taken += 1
        none = torch.zeros(2, 3, dtype=torch.int64)
        return Batch(none, none, torch.tensor([[1, 2, 3], [4, 5, 6]]), [3], False, np.zeros(1))

    def state_dict(self) -> dict[str, Any]:
        return {"taken": self.taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.taken = state["taken"]


def batches_of(seed: int) -> TrainingBatches:
    softmax = SampledSoftmax(input_size=2, num_types=500, num_samples=20, sparse=True)
    return TrainingBatches(batches=Endless(), softmax=softmax, seed=seed)


def rows(batches: TrainingBatches, number: int) -> list[list[int]]:
    """The words that each of the next batches uses."""
    return [next(batches).plan["rows"].tolist() for _ in range(number)]


def test_every_batch_has_draws_of_its_own_from_the_seed_and_its_number() -> None:
    torch.manual_seed(1)
    first = rows(batches_of(seed=3), 4)
    torch.manual_seed(2)
    assert rows(batches_of(seed=3), 4) == first
    assert len({tuple(words) for words in first + rows(batches_of(seed=4), 4)}) == 8
    assert all(set(range(1, 7)) < set(words) for words in first)


def test_a_resumed_iterator_goes_on_with_the_same_draws() -> None:
    whole, broken = batches_of(seed=3), batches_of(seed=3)
    expected = rows(whole, 5)
    rows(broken, 2)
    resumed = batches_of(seed=3)
    resumed.load_state_dict(broken.state_dict())
    assert rows(resumed, 3) == expected[2:]
    assert resumed.state_dict() == whole.state_dict() == {"number": 5, "batches": {"taken": 5}}


def test_a_plan_moves_to_the_device_with_its_batch() -> None:
    batch = next(batches_of(seed=3)).to(torch.device("meta"))
    assert {tensor.device.type for tensor in batch.plan.values()} == {"meta"}
