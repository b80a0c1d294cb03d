"""Batches that a thread builds, and copies to a CUDA device, while the device computes a step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tasks.task import Batches

DEPTH = 2  # batches ahead of the one in use


class _Ahead(NamedTuple):
    """A batch, the position behind it, and on CUDA the end of its copying."""

    batch: Any
    state: dict[str, Any]
    copied: torch.cuda.Event | None


def prefetched(
    batches: Batches, *, device: torch.device, prepare: Callable[[Any], Any] | None = None
) -> Batches:
    """The batches built ahead if they are for an accelerator (see `Prefetched`), else themselves."""
    return batches if device.type == "cpu" else Prefetched(batches, device=device, prepare=prepare)


class Prefetched:
    """An endless iterator over the batches of another one, which are built ahead.

    Its position is that of the last batch that was taken from it, whatever is built already, so that a
    resumed run misses no batch. An error of the other iterator is raised in place of the batch it concerns.

    On CUDA, a batch is copied from pinned memory on a stream of its own; this was never run on such a device.
    Elsewhere it only builds. Training on a CPU goes without: there, a batch of 640 tokens takes less than a
    hundredth of its step, and the thread would take a core from the products.

    Args:
        batches: of a language model; nothing else may use it from now on.
        device: of the model.
        prepare: what the thread makes of a batch before it is copied; None: nothing.
    """

    def __init__(
        self, batches: Batches, *, device: torch.device, prepare: Callable[[Any], Any] | None = None
    ) -> None:
        self._batches, self._device, self._prepare = batches, device, prepare
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self._ahead: deque[Future[_Ahead]] = deque()
        self._state = batches.state_dict()

    def __iter__(self) -> Prefetched:
        return self

    def __next__(self) -> Any:
        while len(self._ahead) <= DEPTH:
            self._ahead.append(self._thread.submit(self._build))
        batch, self._state, copied = self._ahead[0].result()
        self._ahead.popleft()
        if copied is not None:
            stream = torch.cuda.current_stream(self._device)
            stream.wait_event(copied)
            batch.mapped(lambda tensor: _used_on(tensor, stream))
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Everything that determines the batches after the last one taken."""
        return self._state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue after the batch at which `state_dict` was called."""
        for future in self._ahead:
            future.exception()  # until nothing is built any more
        self._ahead.clear()
        self._batches.load_state_dict(state)
        self._state = self._batches.state_dict()

    def _build(self) -> _Ahead:
        batch = next(self._batches)
        if self._prepare is not None:
            batch = self._prepare(batch)
        if self._stream is None:
            return _Ahead(batch, self._batches.state_dict(), None)
        with torch.cuda.stream(self._stream):
            batch = batch.mapped(lambda tensor: tensor.pin_memory().to(self._device, non_blocking=True))
            return _Ahead(batch, self._batches.state_dict(), self._stream.record_event())


def _used_on(tensor: Tensor, stream: torch.cuda.Stream) -> Tensor:
    """The tensor, whose memory is not given to another one before the stream has come here."""
    tensor.record_stream(stream)
    return tensor
