"""Sums gradients over processes while the backward pass is still computing others.

torch's DistributedDataParallel does that, too, but wraps a model's forward of tensors: here the trainings
call several methods of their models, pass on states and plans, and freeze and unfreeze layers between steps.
Hooks on the parameters need none of this. Also, of a softmax with a gradient of few rows, only these are
sent: they are the same in all processes, as each plans the whole batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from elmo.errors import InputError
from tasks.processes import Processes, answered

PIECE = 1 << 20  # values: sent at once. gloo is fastest with pieces that stay in the processor's cache


class GradientSum:
    """Sums the gradients of some parameters over the processes, in fp32 or whatever they are.

    A bucket is a large gradient, or small ones that follow each other. It is sent when the backward pass has
    computed it and the buckets before it, so that all processes send in the same order.

    Args:
        parameters: in the order of the forward pass, about; those that want a gradient may change.
        processes: that hold the same ones.
        seed: of the random numbers, such as dropout's, which are others in each process.
    """

    def __init__(self, parameters: Sequence[Tensor], processes: Processes, *, seed: int) -> None:
        self.processes, self.seed = processes, seed
        self._is_checked = False
        self._parameters = list(reversed(parameters))
        self._wanted: list[bool] = []
        self._buckets: list[_Bucket] = []
        self._bucket_of: dict[Tensor, _Bucket] = {}
        self._next = -1  # the bucket to be sent; -1: not in the last backward pass of a step
        for parameter in parameters:
            parameter.register_post_accumulate_grad_hook(self._take)

    def begin_step(self, step: int) -> None:
        """To be called before a step: its random numbers depend on the seed, the step and the process.

        So a run that goes on in as many processes draws the same ones, and no checkpoint has to keep them.
        """
        torch.manual_seed(
            int(np.random.SeedSequence([self.seed, step, self.processes.rank]).generate_state(1)[0])
        )

    def begin(self) -> None:
        """To be called before the last backward pass of a step."""
        wanted = [parameter.requires_grad for parameter in self._parameters]
        if wanted != self._wanted:
            self._wanted = wanted
            self._buckets = _cut([p for p in self._parameters if p.requires_grad])
            self._bucket_of = {p: bucket for bucket in self._buckets for p in bucket.parameters}
        for bucket in self._buckets:
            bucket.num_missing = len(bucket.parameters)
        self._next = 0

    def finish(self, others: Sequence[Tensor], *, share: float) -> None:
        """Send what is left, and wait for all.

        Args:
            others: further tensors to be summed in place.
            share: of the last batch; all shares make 1, or the task gives every process the whole batch.

        Raises:
            LostProcessError: another process has ended.
            InputError: the task deals no batch to several processes.
        """
        if not self._is_checked and abs(float(self.processes.sum(torch.tensor(share))) - 1) > 1e-3:
            raise InputError(
                "task: it does not deal its batches to several processes; start it without torchrun"
            )
        self._is_checked = True
        with answered(self.processes.rank):
            small = torch.cat([tensor.detach().flatten() for tensor in others])
            work = dist.all_reduce(small, group=self.processes.gradients, async_op=True)
            for bucket in self._buckets[self._next :]:
                bucket.send(self.processes.gradients)
            self._next = -1
            work.wait()
            for bucket in self._buckets:
                bucket.receive()
        with torch.no_grad():
            for tensor, total in zip(others, small.split([t.numel() for t in others]), strict=True):
                tensor.copy_(total.view_as(tensor))

    def _take(self, parameter: Tensor) -> None:
        if self._next < 0:
            return
        self._bucket_of[parameter].num_missing -= 1
        with answered(self.processes.rank):
            while self._next < len(self._buckets) and not self._buckets[self._next].num_missing:
                self._buckets[self._next].send(self.processes.gradients)
                self._next += 1


class _Bucket:
    """Parameters whose gradients are sent together."""

    def __init__(self, parameters: list[Tensor]) -> None:
        self.parameters = parameters
        self.num_missing = 0  # gradients that the backward pass has not computed yet
        self._works: list[dist.Work] = []
        self._packed: list[Tensor] = []  # parameters whose gradients are copied into one tensor
        self._sums = torch.empty(0)

    def send(self, group: dist.ProcessGroup | None) -> None:
        """Begin to sum the gradients; of a parameter without one, zeros."""
        alone = [p.grad for p in self.parameters if p.grad is not None and self._is_alone(p.grad)]
        flat = [(g._values() if g.is_sparse else g).view(-1) for g in alone]
        self._packed = [p for p in self.parameters if p.grad is None or not self._is_alone(p.grad)]
        if self._packed:
            grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._packed]
            self._sums = torch.cat([grad.flatten() for grad in grads])
            flat.append(self._sums)
        pieces = [piece for values in flat for piece in values.split(PIECE)]
        self._works = [dist.all_reduce(piece, group=group, async_op=True) for piece in pieces]

    def receive(self) -> None:
        """Wait for the sums, and make them the gradients."""
        for work in self._works:
            work.wait()
        self._works = []
        parts = self._sums.split([p.numel() for p in self._packed]) if self._packed else ()
        for parameter, part in zip(self._packed, parts, strict=True):
            # One without a gradient in all processes has none, and the optimizer leaves it as it is.
            if parameter.grad is not None or bool(part.any()):
                parameter.grad = part.view_as(parameter)

    def _is_alone(self, gradient: Tensor) -> bool:
        """Whether it is summed in its own memory."""
        return gradient.is_sparse or len(self.parameters) == 1


def _cut(parameters: Sequence[Tensor]) -> list[_Bucket]:
    """Buckets of parameters that follow each other, each with a large one alone or at most `PIECE` values."""
    groups: list[list[Tensor]] = []
    room = 0
    for parameter in parameters:
        if parameter.numel() > room or not groups:
            groups.append([])
            room = PIECE
        groups[-1].append(parameter)
        room -= parameter.numel()
    return [_Bucket(group) for group in groups]
