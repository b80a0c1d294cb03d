"""The LSTM state that a sentence starts from: zeros, what the one before it left, or a stored mean.

Shape legend: D = 2 directions, R rows, P projection, H cells.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from elmo.bilm.bilstm import BiLstm
from elmo.bilm.lstm import State
from elmo.errors import InputError
from elmo.files import write_aside


class BatchPlan(NamedTuple):
    """Sentences to run together, by their index, and the row of the state that each one has."""

    sentences: list[int]
    rows: list[int]


class StartState(ABC):
    """Where the rows of a batch start from, and which sentences may therefore run together.

    A plan is made from the sentences' lengths in words; sentences without words are left out of it.
    """

    @abstractmethod
    def before(self, rows: Sequence[int]) -> list[State]:
        """For each LSTM layer, the state that these rows start from: new tensors (2, R, P), (2, R, H)."""

    def keep(self, rows: Sequence[int], after: Sequence[State]) -> None:  # noqa: B027  # most forget it
        """Take note of the state that these rows ended with."""

    def plan_call(self, lengths: Sequence[int], tokens_per_batch: int) -> list[BatchPlan]:
        """Batches for the sentences of one call."""
        return _by_length(lengths, tokens_per_batch)

    def plan_stream(self, lengths: Sequence[int], tokens_per_batch: int) -> list[BatchPlan]:
        """Batches for some consecutive sentences of a stream."""
        return _by_length(lengths, tokens_per_batch)

    def describe(self) -> dict[str, Any]:
        """What metadata say beside the state's name."""
        return {}


class ZeroState(StartState):
    """Every sentence starts from zeros."""

    def __init__(self, bilstm: BiLstm) -> None:
        self._bilstm = bilstm

    def before(self, rows: Sequence[int]) -> list[State]:
        return self._bilstm.zero_state(len(rows))


class MeasuringState(ZeroState):
    """Every sentence starts from zeros, and what they end with is added up."""

    def __init__(self, bilstm: BiLstm) -> None:
        super().__init__(bilstm)
        self.num_sentences = 0
        zeros = [part for state in bilstm.zero_state(1) for part in state]
        self._device = zeros[0].device
        self._sums = [part.cpu().double() for part in zeros]  # not every accelerator has doubles

    def keep(self, rows: Sequence[int], after: Sequence[State]) -> None:
        self.num_sentences += len(rows)
        parts = [part for state in after for part in state]
        for total, part in zip(self._sums, parts, strict=True):
            total += part.cpu().double().sum(dim=1, keepdim=True)

    def mean(self) -> WarmState:
        """The mean state that the sentences ended with, at least one."""
        means = [(total / self.num_sentences).float().to(self._device) for total in self._sums]
        states = list(zip(means[::2], means[1::2], strict=True))
        return WarmState(states, num_sentences=self.num_sentences)


class CarriedState(StartState):
    """Row r of a batch starts from the state that row r ended with last; from zeros the first time.

    So did the original at inference. A row that a batch lacks, or where it has a sentence without words,
    keeps its state. One call is one batch, its sentences the rows; a stream is a single row.
    """

    def __init__(self, bilstm: BiLstm) -> None:
        self._bilstm = bilstm
        self._states = bilstm.zero_state(0)

    def before(self, rows: Sequence[int]) -> list[State]:
        missing = max(rows) + 1 - self._states[0][0].shape[1]
        if missing > 0:
            zeros = self._bilstm.zero_state(missing)
            self._states = [
                (torch.cat([h, h0], dim=1), torch.cat([c, c0], dim=1))
                for (h, c), (h0, c0) in zip(self._states, zeros, strict=True)
            ]
        return [(h[:, rows], c[:, rows]) for h, c in self._states]

    def keep(self, rows: Sequence[int], after: Sequence[State]) -> None:
        for (h, c), (h_after, c_after) in zip(self._states, after, strict=True):
            h[:, rows], c[:, rows] = h_after, c_after

    def plan_call(self, lengths: Sequence[int], tokens_per_batch: int) -> list[BatchPlan]:
        rows = [index for index, length in enumerate(lengths) if length]
        return [BatchPlan(rows, rows)] if rows else []

    def plan_stream(self, lengths: Sequence[int], tokens_per_batch: int) -> list[BatchPlan]:
        return [BatchPlan([index], [0]) for index, length in enumerate(lengths) if length]


class WarmState(StartState):
    """Every sentence starts from the mean state that some sentences ended with.

    Args:
        states: of each LSTM layer, (2, 1, P) and (2, 1, H).
        num_sentences: whose mean it is.
    """

    def __init__(self, states: Sequence[State], *, num_sentences: int) -> None:
        self._states = list(states)
        self._num_sentences = num_sentences

    def before(self, rows: Sequence[int]) -> list[State]:
        return [(h.repeat(1, len(rows), 1), c.repeat(1, len(rows), 1)) for h, c in self._states]

    def describe(self) -> dict[str, Any]:
        return {"warm_up_sentences": self._num_sentences}

    def save(self, path: Path, *, fingerprint: str) -> None:
        """Write it aside and rename; one that is there is replaced. `fingerprint` is the encoder's."""
        tensors = {
            f"layers.{index}.{name}": part.cpu().contiguous()
            for index, state in enumerate(self._states)
            for name, part in zip(("hidden", "cells"), state, strict=True)
        }
        metadata = {"fingerprint": fingerprint, "num_sentences": str(self._num_sentences)}
        with write_aside(path) as aside:
            save_file(tensors, aside, metadata=metadata)

    @classmethod
    def load(cls, path: Path, *, fingerprint: str, device: torch.device) -> WarmState:
        """The state that `save` wrote; InputError when it is damaged or of another encoder."""
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                parts = {name: file.get_tensor(name).to(device) for name in list(file.keys())}
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path}: damaged ({error}); warm up again") from error
        if metadata.get("fingerprint") != fingerprint:
            raise InputError(f"{path}: the warm state of another model; warm up again")
        return cls(_in_layers(parts), num_sentences=int(metadata["num_sentences"]))


def _in_layers(parts: dict[str, Tensor]) -> list[State]:
    num_layers = len(parts) // 2
    return [(parts[f"layers.{index}.hidden"], parts[f"layers.{index}.cells"]) for index in range(num_layers)]


def _by_length(lengths: Sequence[int], tokens_per_batch: int) -> list[BatchPlan]:
    """Sentences of similar length together, the longest first, up to a number of tokens with markers."""
    batches: list[list[int]] = []
    room = 0
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if not lengths[index]:
            break
        tokens = lengths[index] + 2
        if tokens > room:
            batches.append([])
            room = tokens_per_batch
        batches[-1].append(index)
        room -= tokens
    return [BatchPlan(batch, list(range(len(batch)))) for batch in batches]
