"""How long each part of a training step takes."""

from __future__ import annotations

import time

import torch

from experiments.profiling.parts import BACKWARD, OTHER


class PartTimes:
    """Adds up the time of each part of the steps of a training; `enter` begins a part.

    Args:
        device: of the training; on CUDA the time is that of the device, between events on its stream.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device if device.type == "cuda" else None
        self._marks: list[tuple[str, float | torch.cuda.Event]] = []

    def enter(self, part: str) -> None:
        """Begin a part, and end the one before."""
        self._marks.append((part, self._now()))

    def seconds(self) -> dict[str, float]:
        """The seconds of each part up to the last mark, forward and backward pass together."""
        if self._cuda is not None:
            torch.cuda.synchronize(self._cuda)
        total: dict[str, float] = {}
        for (part, begun), (_, ended) in zip(self._marks, self._marks[1:], strict=False):
            name = part.removesuffix(BACKWARD)
            total[name] = total.get(name, 0.0) + _between(begun, ended)
        return total

    def shares(self) -> dict[str, float]:
        """The share of each part in all the time that was measured, from 0 to 1."""
        seconds = self.seconds()
        whole = sum(seconds.values()) or 1.0
        return {name: value / whole for name, value in seconds.items() if name != OTHER} | {
            OTHER: seconds.get(OTHER, 0.0) / whole
        }

    def _now(self) -> float | torch.cuda.Event:
        if self._cuda is None:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._cuda))
        return event


def _between(begun: float | torch.cuda.Event, ended: float | torch.cuda.Event) -> float:
    """Seconds."""
    if isinstance(begun, float) and isinstance(ended, float):
        return ended - begun
    assert isinstance(begun, torch.cuda.Event) and isinstance(ended, torch.cuda.Event)
    return begun.elapsed_time(ended) / 1e3
