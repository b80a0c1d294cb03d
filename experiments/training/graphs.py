"""Gradients of batches from CUDA graphs, which are recorded once for each shape of batch and then replayed.

A step of an LSTM is thousands of small kernels; launching them one by one takes the host longer than the GPU
computes. A graph is launched at once. Only the loss and the gradients of a batch are recorded: the sum over
processes, clipping and the optimizer are few kernels, and outside of the graph any optimizer will do, with
sparse gradients too, and learning rates are plain numbers.

This was never run on CUDA. It is written from torch's documentation of `torch.cuda.graph`; what surrounds the
recording is tested with one that repeats a Python function over the same tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from elmo.errors import reason_of
from tasks.task import RecordableTraining, Training

MOST_RECORDINGS = 12  # each holds the gradients of all weights

Outputs = list[Tensor | None]


class Recorder(Protocol):
    """Records what a function does on a device."""

    def warm_up(self) -> AbstractContextManager[None]:
        """Where a function that will be recorded runs before."""
        ...

    def record(self, work: Callable[[], Outputs]) -> tuple[Outputs, Callable[[], object]]:
        """The results of a function, which have no values yet, and what computes them again and again.

        Raises:
            RuntimeError: the function does what cannot be recorded, such as waiting for the device.
        """
        ...


class CudaRecorder:
    """Records CUDA graphs on a stream of its own; they share their memory for what only one of them needs."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()

    @contextmanager
    def warm_up(self) -> Iterator[None]:
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            yield
        current.wait_stream(self._stream)

    def record(self, work: Callable[[], Outputs]) -> tuple[Outputs, Callable[[], object]]:
        graph = torch.cuda.CUDAGraph()
        # thread_local: the thread that builds batches goes on to copy them meanwhile
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
            outputs = work()
        return outputs, graph.replay


class _Recording(NamedTuple):
    batch: Any  # whose tensors a replay reads
    loss: Tensor
    gradients: Outputs  # of each parameter
    replay: Callable[[], object]


class RecordedGradients:
    """Computes the loss and the gradients of batches, each shape of batch by a recording of its own.

    The first batch of a shape is computed without, which also warms up what a library does once; the second
    is recorded.

    Args:
        training: whose batches they are.
        parameters: that get gradients.
        backward: computes the loss of a batch and its gradients; returns the loss, detached.
        recorder: of graphs.
        tell: called once, with a line, if recording fails; from then on, nothing is recorded.
    """

    def __init__(
        self,
        *,
        training: RecordableTraining,
        parameters: Sequence[Tensor],
        backward: Callable[[Any], Tensor],
        recorder: Recorder,
        tell: Callable[[str], object],
    ) -> None:
        self.training, self.parameters = training, parameters
        self.backward, self.recorder, self.tell = backward, recorder, tell
        self._seen: set[Hashable] = set()
        self._recordings: dict[Hashable, _Recording] = {}
        self._carried: list[Tensor] = []  # the state that recordings read and write
        self._is_off = False

    def loss(self, batch: Any) -> Tensor:
        """The loss of a batch on the device, detached; its gradients go to the parameters, which had none."""
        shape = None if self._is_off else self.training.shape_of(batch)
        if shape is None or (shape in self._seen and not self._find(shape, batch)):
            return self.backward(batch)
        if shape not in self._seen:
            self._seen.add(shape)
            with self.recorder.warm_up():
                return self.backward(batch)
        return self._replay(self._recordings[shape], batch)

    def _find(self, shape: Hashable, batch: Any) -> bool:
        """Whether there is a recording of this shape, which is made if there is room."""
        if shape not in self._recordings and len(self._recordings) < MOST_RECORDINGS:
            try:
                self._recordings[shape] = self._record(batch)
            except RuntimeError as error:
                self._is_off = True
                self.tell(f"no CUDA graphs, kernels are launched one by one: {reason_of(error)}")
        return shape in self._recordings

    def _record(self, batch: Any) -> _Recording:
        training = self.training
        self._hold_carried()
        own = batch.mapped(torch.clone)

        def work() -> Outputs:
            num_batches = training.num_batches
            try:
                loss = self.backward(own)
                _copy(self._carried, training.carried)
            finally:
                training.carried, training.num_batches = self._carried, num_batches
            return [loss, *(parameter.grad for parameter in self.parameters)]

        try:
            (loss, *gradients), replay = self.recorder.record(work)
        finally:
            for parameter in self.parameters:
                parameter.grad = None
        assert loss is not None
        return _Recording(own, loss, gradients, replay)

    def _replay(self, recording: _Recording, batch: Any) -> Tensor:
        self._hold_carried()
        _copy(_tensors(recording.batch), _tensors(batch))
        recording.replay()
        self.training.num_batches += 1
        for parameter, gradient in zip(self.parameters, recording.gradients, strict=True):
            parameter.grad = gradient
        return recording.loss

    def _hold_carried(self) -> None:
        """Put the carried state where recordings read it, if a step without a recording made another one."""
        if not self._carried:
            self._carried = [part.clone() for part in self.training.carried]
        elif self.training.carried is not self._carried:
            _copy(self._carried, self.training.carried)
        self.training.carried = self._carried


def recorder_for(training: Training, device: torch.device, *, accumulate_batches: int) -> Recorder | None:
    """A recorder of graphs; None if the device has none, or each step has several batches to add up."""
    is_recordable = isinstance(training, RecordableTraining) and training.has_fixed_shapes
    if device.type != "cuda" or not is_recordable or accumulate_batches > 1:
        return None
    return CudaRecorder(device)


@torch.no_grad()
def _copy(own: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for one, value in zip(own, values, strict=True):
        one.copy_(value, non_blocking=True)


def _tensors(batch: Any) -> list[Tensor]:
    found: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    batch.mapped(note)
    return found
