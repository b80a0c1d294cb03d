"""One training step: gradients of the accumulated batches, their sum over processes, clipping, the optimizer.

A step reads nothing from its device, which can therefore compute one step while the host prepares the next
ones. What the steps found out is read later, all at once; only on a CPU, where reading costs nothing, after
the backward pass of each step, so that a loss that is not finite changes no weight.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from elmo.errors import InputError
from experiments.training.graphs import RecordedGradients, Recorder, recorder_for
from experiments.training.precision import products_in
from experiments.training.process import tf32_products
from experiments.training.processes.gradients import GradientSum
from tasks.processes import Processes
from tasks.task import Batches, RecordableTraining, Training, TrainingBatch


class NotFiniteError(InputError):
    """A training whose loss is no number any more."""


class Figures(NamedTuple):
    """What a step found out: its mean loss in nats, and the norm of its gradients before clipping."""

    loss: float
    norm: float


class _Unread(NamedTuple):
    """The same while it is on the device, as scalars there."""

    step: int
    loss: Tensor
    norm: Tensor
    batch: str  # described


class TrainingStep:
    """Takes the steps of a training.

    Args:
        training: the training of a task.
        optimizer: of its model; its learning rates are multiplied by a schedule's factor.
        accumulate_batches: batches whose gradients make one step.
        clip_norm: limit of the global norm of all gradients; None for none.
        dtype: of the matrix products; with torch.float32 nothing is cast.
        last_good: says which checkpoint is the last good one, for the message of a loss that is not finite.
        processes: that share each batch; None: this one alone.
        seed: of the random numbers of each process, if there are several.

    Attributes:
        parameters: what the optimizer trains.
        rates: the learning rates of its groups, as of the last `set_rates`.
        recorded: what computes gradients by recordings; None: they are computed operation by operation.
        enter: called with the name of each part of a step as it begins (see `experiments.profiling.parts`).
    """

    def __init__(
        self,
        *,
        training: Training,
        optimizer: torch.optim.Optimizer,
        accumulate_batches: int,
        clip_norm: float | None,
        dtype: torch.dtype,
        last_good: Callable[[], str],
        processes: Processes | None = None,
        seed: int = 0,
    ) -> None:
        self.training, self.optimizer = training, optimizer
        self.accumulate_batches, self.clip_norm, self.dtype = accumulate_batches, clip_norm, dtype
        self.parameters: list[Tensor] = [p for group in optimizer.param_groups for p in group["params"]]
        self.device = self.parameters[0].device
        self.enter: Callable[[str], None] = _tell_nobody
        self._gradient_sum = (
            GradientSum(self.parameters, processes, seed=seed)
            if processes is not None and processes.size > 1
            else None
        )
        self.rates = self._full_rates = [float(group["lr"]) for group in optimizer.param_groups]
        self.recorded: RecordedGradients | None = None
        recorder = recorder_for(training, self.device, accumulate_batches=accumulate_batches)
        if recorder is not None and self._gradient_sum is None:  # which hooks into the backward pass
            self.record(recorder)
        self._last_good = last_good
        self._unread: list[_Unread] = []
        self._read: list[Figures] = []
        self._last_batch = ""

    @property
    def route(self) -> str:
        """How gradients are computed on an accelerator, for the user."""
        return "operation by operation" if self.recorded is None else "CUDA graphs, one for each shape"

    def set_rates(self, factor: float) -> None:
        """Multiply the optimizer's learning rates at the start by a factor, for the next steps."""
        self.rates = [rate * factor for rate in self._full_rates]
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate

    def take(self, step: int, batches: Batches) -> int:
        """Take the step number `step`, from 1; returns the number of units of its batches.

        Raises:
            NotFiniteError: on a CPU: the loss or the norm of the gradients is not finite.
        """
        is_read_at_once = self.device.type == "cpu"
        if self._gradient_sum is not None:
            self._gradient_sum.begin_step(step)
        with tf32_products(self.device):
            loss, num_units, batch = self._forward_backward(batches)
        if self._gradient_sum is not None:
            self.enter("reduction")
            self._gradient_sum.finish([loss, *self.training.partial_sums()], share=batch.share)
        self.enter("clipping")
        norm = self._clip()
        self.enter("other")
        self._unread.append(_Unread(step, loss, norm, self.training.describe(batch)))
        if is_read_at_once:
            self._fetch()
        self.enter("optimizer")
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.enter("other")
        return num_units

    def read(self) -> list[Figures]:
        """The figures of the steps since the last reading; on an accelerator it waits for them.

        Raises:
            NotFiniteError: the loss or the norm of the gradients was not finite in one of them.
        """
        self._fetch()
        read, self._read = self._read, []
        return read

    def check_weights(self, step: int) -> None:
        """Raises NotFiniteError if a weight is not finite, so that no checkpoint gets such weights."""
        with torch.no_grad():
            largest = torch.stack(torch._foreach_norm(self.parameters, math.inf))
        if not bool(largest.isfinite().all()):
            raise self._fault(step, "a weight", self._last_batch)

    def _forward_backward(self, batches: Batches) -> tuple[Tensor, int, TrainingBatch]:
        """Accumulate the gradients of a step's batches; returns the mean loss, the units, the last batch.

        With several processes, loss and gradients are this one's part of the sum.
        """
        total = torch.zeros((), device=self.device)
        num_units = 0
        for index in range(self.accumulate_batches):
            self.enter("data")
            batch: TrainingBatch = next(batches)
            self.enter("other")
            if self.recorded is not None:
                loss = self.recorded.loss(batch)
            else:
                loss = self._backward(batch, is_last=index == self.accumulate_batches - 1)
            self.enter("other")
            total += loss * batch.share / self.accumulate_batches
            num_units += batch.num_units
        return total, num_units, batch

    def _backward(self, batch: Any, *, is_last: bool = True) -> Tensor:
        """Add the gradients of a batch to those that there are; returns its loss, without a gradient."""
        with products_in(self.dtype, self.device):
            loss = self.training.loss(batch)
        if is_last and self._gradient_sum is not None:
            self._gradient_sum.begin()
        (loss * (self.training.gradient_scale * batch.share / self.accumulate_batches)).backward()
        return loss.detach()

    def record(self, recorder: Recorder) -> None:
        """From now on, compute gradients by recordings, where the shapes of batches return."""
        assert isinstance(self.training, RecordableTraining) and self.accumulate_batches == 1
        self.recorded = RecordedGradients(
            training=self.training,
            parameters=self.parameters,
            backward=self._backward,
            recorder=recorder,
            tell=lambda line: print(line, file=sys.stderr),
        )

    def _clip(self) -> Tensor:
        """Scale all gradients so that their global norm is at most `clip_norm`; returns the norm before."""
        for parameter in self.parameters:
            if self.accumulate_batches > 1 and parameter.grad is not None and parameter.grad.is_sparse:
                parameter.grad = parameter.grad.coalesce()  # a row may be in several batches' gradients
        gradients = [_values(p.grad) for p in self.parameters if p.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        if self.clip_norm is not None:
            torch._foreach_mul_(gradients, (self.clip_norm / norm).clamp(max=1.0))
        return norm

    def _fetch(self) -> None:
        """Bring what is on the device to the host, in one copy, and refuse what is not finite."""
        if not self._unread:
            return
        unread, self._unread = self._unread, []
        self._last_batch = unread[-1].batch
        values = torch.stack([value for one in unread for value in (one.loss, one.norm)]).tolist()
        for one, loss, norm in zip(unread, values[0::2], values[1::2], strict=True):
            if not (math.isfinite(loss) and math.isfinite(norm)):
                what = "the norm of the gradients" if math.isfinite(loss) else "the loss"
                raise self._fault(one.step, what, one.batch)
            self._read.append(Figures(loss, norm))

    def _fault(self, step: int, what: str, batch: str) -> NotFiniteError:
        return NotFiniteError(
            f"step {step}: {what} is not finite, in {batch};"
            f" a lower optimizer.learning_rate or trainer.clip_norm may help; {self._last_good()}"
        )


def _tell_nobody(part: str) -> None:
    """Nobody measures the parts of a step."""


def _values(gradient: Tensor) -> Tensor:
    """A gradient's own values: of a sparse one, those of its rows, which are distinct."""
    return gradient._values() if gradient.is_sparse else gradient
