"""The processes that train one model together, each on its rows of every batch.

Shape legend: B rows of a batch, U distinct types, P vector size.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from elmo.errors import InputError

T = TypeVar("T")


class LostProcessError(InputError):
    """Another process of the training has ended, or gave no answer in time."""


class Processes:
    """The processes of a training; without arguments there is this one alone, and its methods do nothing.

    What they tell each other goes through plain tensors: nothing is pickled.

    Args:
        rank: this one's index.
        size: their number.
        group: for tensors on the CPU; it waits for as long as a process may have work that the others have
            not, such as preparing a corpus. A process that ends is noticed at once. None: there is one.
        gradients: for tensors on the device, with a time limit; None: there is one.
    """

    def __init__(
        self,
        *,
        rank: int = 0,
        size: int = 1,
        group: dist.ProcessGroup | None = None,
        gradients: dist.ProcessGroup | None = None,
    ) -> None:
        self.rank, self.size = rank, size
        self.group, self.gradients = group, gradients

    @property
    def is_first(self) -> bool:
        """Whether it is the one that writes, logs and decides."""
        return self.rank == 0

    def rows(self, number: int) -> slice:
        """This process's rows of `number` ones: every `size`-th, so that sorted lengths are dealt evenly."""
        return slice(self.rank, number, self.size)

    def takes(self, number: int) -> bool:
        """Whether this process computes the item of this number, of items that are dealt whole."""
        return number % self.size == self.rank

    def sum(self, values: Tensor) -> Tensor:
        """The sum over the processes, of tensors of equal sizes, on the CPU."""
        if self.size == 1:
            return values
        total = values.detach().cpu().clone()
        with answered(self.rank):
            dist.all_reduce(total, group=self.group)
        return total

    def joined_rows(self, part: Tensor, number: int, *, dim: int) -> Tensor:
        """The rows of all processes, in order, on the CPU; each gives its `rows(number)` along `dim`."""
        if self.size == 1:
            return part
        shape = list(part.shape)
        shape[dim] = number
        whole = torch.zeros(shape, dtype=part.dtype)
        whole.transpose(0, dim)[self.rows(number)] = part.detach().cpu().transpose(0, dim)
        return self.sum(whole)

    def joined_vectors(self, own_UP: Tensor, number: int) -> Tensor:
        """(U, P) vectors of all processes, each of which gives its `rows(number)`; gradients flow back."""
        joined: Tensor = _JoinedVectors.apply(own_UP, number, self)
        return joined

    def sum_on_device(self, values: Tensor) -> Tensor:
        """The sum over the processes, in place, of tensors in memory without gaps, on the device."""
        with answered(self.rank):
            dist.all_reduce(values, group=self.gradients)
        return values

    def text_of_first(self, text: str) -> str:
        """The text that the first process gives."""
        if self.size == 1:
            return text
        given = list(text.encode()) if self.is_first else []
        length = int(self.sum(torch.tensor(len(given))))
        letters = torch.tensor([*given, *[0] * (length - len(given))], dtype=torch.uint8)
        return bytes(self.sum(letters).tolist()).decode()

    def take_over(self, tensors: Iterable[Tensor]) -> None:
        """Give tensors on the device the values that they have in the first process."""
        if self.size > 1:
            with answered(self.rank):
                for tensor in tensors:
                    dist.broadcast(tensor, src=0, group=self.gradients)

    def in_turn(self, work: Callable[[], T]) -> T:
        """The result of `work`, which is done by the first process and then by the others.

        So they find what it has written. If it fails there, the others end without a word.
        """
        if self.size == 1:
            return work()
        if not self.is_first:
            self._end_if_first_failed(has_failed=False)
            return work()
        try:
            result = work()
        except BaseException:
            self._end_if_first_failed(has_failed=True)
            raise
        self._end_if_first_failed(has_failed=False)
        return result

    def by_first(self, work: Callable[[], str]) -> str:
        """The text that `work` returns, which is done by the first process alone; as `in_turn`."""
        if self.size == 1:
            return work()
        text = self.in_turn(lambda: work() if self.is_first else "")
        return self.text_of_first(text)

    def meet(self) -> None:
        """Wait until all processes are here."""
        self.sum(torch.zeros(1))

    def _end_if_first_failed(self, *, has_failed: bool) -> None:
        if float(self.sum(torch.tensor(float(has_failed)))) and not self.is_first:
            sys.exit(2)


class _JoinedVectors(torch.autograd.Function):
    """Vectors that each process has computed for its rows, and the sum of their gradients over all."""

    @staticmethod
    def forward(ctx: Any, own_UP: Tensor, number: int, processes: Processes) -> Tensor:  # type: ignore[override]
        ctx.processes, ctx.rows, ctx.num_given = processes, processes.rows(number), len(own_UP)
        whole_UP = own_UP.new_zeros(number, own_UP.shape[1])
        own = whole_UP[ctx.rows]
        own.copy_(own_UP[: len(own)])  # what is beyond is padding
        return processes.sum_on_device(whole_UP)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        summed_UP = ctx.processes.sum_on_device(gradients[0].clone(memory_format=torch.contiguous_format))
        own_UP = summed_UP[ctx.rows]
        return F.pad(own_UP, (0, 0, 0, ctx.num_given - len(own_UP))), None, None


@contextmanager
def answered(rank: int) -> Iterator[None]:
    """Within the block, a process that does not answer is a LostProcessError."""
    try:
        yield
    except RuntimeError as error:
        raise LostProcessError(
            f"rank {rank}: another process of the training has ended, or gave no answer in time;"
            " the same command with resume=auto goes on from the last checkpoint"
        ) from error
