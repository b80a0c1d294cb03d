"""A process's training batches: the batching's, each with a number and with the plan of the softmax."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from elmo.bilm.softmaxes.softmax import Softmax
from tasks.task import Batches

PLAN = 4  # purpose of a random generator; the corpus's are 1 to 3


class TrainingBatches:
    """An endless iterator over planned batches; its state is the batching's and the number of batches.

    What is drawn for a batch depends on the seed and on its number only.

    Args:
        batches: of the batching.
        softmax: which plans them.
        seed: of all that is drawn.
    """

    def __init__(self, *, batches: Batches, softmax: Softmax, seed: int) -> None:
        self.batches, self.softmax, self.seed = batches, softmax, seed
        self.number = 0

    def __iter__(self) -> TrainingBatches:
        return self

    def __next__(self) -> Any:
        batch = next(self.batches)  # a Batch, whose file imports this one
        rng = np.random.default_rng([self.seed, self.number, PLAN])
        self.number += 1
        return replace(
            batch, plan=self.softmax.plan(batch.targets_DN.numpy(), rng, all_targets_DM=batch.all_targets_DM)
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything that determines the next batches."""
        return {"number": self.number, "batches": self.batches.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue after the batch at which `state_dict` was called."""
        self.batches.load_state_dict(state["batches"])
        self.number = state["number"]
