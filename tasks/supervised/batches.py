"""Batches of examples of similar length, shuffled in every epoch; reading can resume at any position."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np

from elmo.errors import InputError
from tasks.processes import Processes

POOL_BATCHES = (
    50  # batches whose examples are sorted together: little padding, but new batches in every epoch
)


@dataclass(frozen=True, kw_only=True)
class ExampleBatch:
    """What every batch of examples has (see `tasks.task.TrainingBatch`).

    Attributes:
        share: factor of the mean loss of its examples.
        num_others: number of examples that other processes have.
    """

    share: float = 1.0
    num_others: int = 0


Batch = TypeVar("Batch", bound=ExampleBatch)


class ExampleBatches(Generic[Batch]):
    """An endless iterator over training batches; each epoch has every example once.

    A batch depends only on the seed, the epoch and its number, so that a position is two integers.

    With several processes, each makes a batch of its own examples of a batch. One that has none takes the
    first, with a share of 0, so that all compute gradients of the same parameters.

    Args:
        lengths: the length of each example; at least one example.
        batch_size: number of examples in a batch; one batch of each epoch may be smaller.
        seed: of the shuffling.
        make: makes a batch from the indices of its examples.
        processes: that share each batch.
        weigh: the weight of some examples in the mean loss of a batch, by their indices; None: their number.

    Attributes:
        epoch: of the next batch, from 0.

    Raises:
        InputError: `batch_size` is below 1.
    """

    def __init__(
        self,
        *,
        lengths: Sequence[int],
        batch_size: int,
        seed: int,
        make: Callable[[Sequence[int]], Batch],
        processes: Processes | None = None,
        weigh: Callable[[Sequence[int]], float] | None = None,
    ) -> None:
        _check_batch_size(batch_size)
        self.lengths = np.asarray(lengths)
        self.batch_size, self.seed, self.make = batch_size, seed, make
        self.processes, self.weigh = processes or Processes(), weigh or len
        self.load_state_dict({"epoch": 0, "taken": 0})

    def __iter__(self) -> ExampleBatches[Batch]:
        return self

    def __next__(self) -> Batch:
        indices = self._groups[self._taken]
        self._taken += 1
        if self._taken == len(self._groups):
            self.load_state_dict({"epoch": self.epoch + 1, "taken": 0})
        return self.make(indices) if self.processes.size == 1 else self._own_part(indices)

    @property
    def epochs_read(self) -> float:
        """Number of epochs that were read: 1.5 in the middle of the second."""
        return self.epoch + self._taken / len(self._groups)

    def state_dict(self) -> dict[str, int]:
        """The position of the next batch."""
        return {"epoch": self.epoch, "taken": self._taken}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go to a position; InputError if there is none such."""
        self.epoch, self._taken = state["epoch"], state["taken"]
        if self.epoch < 0:
            raise InputError(f"batches: epoch {self.epoch}; the checkpoint is damaged")
        self._groups = self._shuffled_groups()
        if not 0 <= self._taken < max(1, len(self._groups)):
            raise InputError(
                f"batches: batch {self._taken} of {len(self._groups)}; the checkpoint is damaged"
            )

    def _own_part(self, indices: list[int]) -> Batch:
        own = indices[self.processes.rows(len(indices))]
        read = own or indices[:1]
        share = self.weigh(own) / self.weigh(indices) if own else 0.0
        return replace(self.make(read), share=share, num_others=len(indices) - len(read))

    def _shuffled_groups(self) -> list[list[int]]:
        """The batches of the epoch: examples in random pools, pools sorted and cut, batches shuffled."""
        generator = np.random.default_rng([self.seed, self.epoch])
        order = generator.permutation(len(self.lengths))
        pool_size = POOL_BATCHES * self.batch_size
        groups = [
            group
            for start in range(0, len(order), pool_size)
            for group in _cut(self._sorted(order[start : start + pool_size]), self.batch_size)
        ]
        return [groups[index] for index in generator.permutation(len(groups))]

    def _sorted(self, pool: np.ndarray) -> np.ndarray:
        return pool[np.argsort(self.lengths[pool], kind="stable")]


def evaluation_order(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """The indices of all examples in batches, longest first, equal lengths in order.

    The largest batch comes first, so that running out of memory happens at once. InputError if `batch_size`
    is below 1.
    """
    _check_batch_size(batch_size)
    return _cut(np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable"), batch_size)


def _cut(order: np.ndarray, batch_size: int) -> list[list[int]]:
    return [order[start : start + batch_size].tolist() for start in range(0, len(order), batch_size)]


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise InputError(f"trainer.batch_size: expected at least 1, got {batch_size}")
