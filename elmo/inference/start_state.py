"""Initial states of sentences: the biLM's own, zeros, the state after the previous sentence, or a stored
mean.

Shape legend: R rows.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from elmo.bilm.bilm import BiLm, State
from elmo.errors import InputError, reason_of
from elmo.files import atomic_write
from elmo.inference.runner import BatchPlan, plan_by_length
from elmo.io.model_directory import refuse_non_finite
from elmo.io.tensor_file import write_tensors


class StartState(ABC):
    """Supplies the initial states of rows, and decides which sentences may therefore share a batch.

    Plans are made from the sentences' lengths in words and contain no sentence without words.
    """

    @abstractmethod
    def before(self, rows: Sequence[int]) -> State:
        """The initial state of these rows, in new tensors, (2, R, ...) each."""

    def keep(self, rows: Sequence[int], after: State) -> None:  # noqa: B027  # most keep nothing
        """Receive the state of these rows after the batch."""

    def plan_call(self, lengths: Sequence[int], tokens_per_batch: int) -> list[BatchPlan]:
        """Batches for the sentences of one call."""
        return plan_by_length(lengths, tokens_per_batch)

    def plan_stream(self, lengths: Sequence[int], tokens_per_batch: int) -> list[BatchPlan]:
        """Batches for some consecutive sentences of a stream."""
        return plan_by_length(lengths, tokens_per_batch)

    def metadata(self) -> dict[str, Any]:
        """What the metadata of a file of vectors contains besides the state's name."""
        return {}

    def own(self) -> dict[str, Any]:
        """The constructor's arguments besides the biLM, with tensors on the CPU; {}: it has none."""
        return {}


class OwnState(StartState):
    """Every sentence starts from the biLM's own start state: zeros, unless its training carried the state."""

    def __init__(self, bilm: BiLm) -> None:
        self._bilm = bilm

    def before(self, rows: Sequence[int]) -> State:
        return self._bilm.start_state(len(rows))

    def metadata(self) -> dict[str, Any]:
        return {"start_state": "own" if self._bilm.has_own_start else "zero"}


class ZeroState(StartState):
    """Every sentence starts from zeros."""

    def __init__(self, bilm: BiLm) -> None:
        self._bilm = bilm

    def before(self, rows: Sequence[int]) -> State:
        return self._bilm.context.zero_state(len(rows))


class MeasuringState(OwnState):
    """As `OwnState`; also sums up the states after the sentences, to measure their mean."""

    def __init__(self, bilm: BiLm) -> None:
        super().__init__(bilm)
        self.num_sentences = 0
        start = bilm.start_state(1)
        self._device = next(bilm.parameters()).device
        # on the CPU, as not every accelerator has double precision
        self._sums = [torch.zeros(part.shape, dtype=torch.float64) for part in start]

    def keep(self, rows: Sequence[int], after: State) -> None:
        self.num_sentences += len(rows)
        for total, part in zip(self._sums, after, strict=True):
            total += part.cpu().double().sum(dim=1, keepdim=True)

    def mean(self) -> WarmState:
        """The mean of the states after the sentences; there must be at least one."""
        means = [(total / self.num_sentences).float().to(self._device) for total in self._sums]
        return WarmState(means, num_sentences=self.num_sentences)


class CarriedState(StartState):
    """Row r of a batch starts from the last state of row r; in the first batch, from the biLM's start state.

    This is what the original does at inference. A row without a sentence, or with a sentence without words,
    keeps its state. One call is one batch, its sentences the rows; a stream is a single row.

    Args:
        state: the last state of each row, of a copy; None: there are no rows yet.
    """

    def __init__(self, bilm: BiLm, state: State | None = None) -> None:
        self._bilm = bilm
        self._state = bilm.start_state(0) if state is None else list(state)

    def own(self) -> dict[str, Any]:
        return {"state": [part.cpu().clone() for part in self._state]}

    def before(self, rows: Sequence[int]) -> State:
        missing = max(rows) + 1 - self._state[0].shape[1]
        if missing > 0:
            start = self._bilm.start_state(missing)
            self._state = [torch.cat(parts, dim=1) for parts in zip(self._state, start, strict=True)]
        return [part[:, rows] for part in self._state]

    def keep(self, rows: Sequence[int], after: State) -> None:
        for part, part_after in zip(self._state, after, strict=True):
            part[:, rows] = part_after

    def plan_call(self, lengths: Sequence[int], tokens_per_batch: int) -> list[BatchPlan]:
        rows = [index for index, length in enumerate(lengths) if length]
        return [BatchPlan(rows, rows)] if rows else []

    def plan_stream(self, lengths: Sequence[int], tokens_per_batch: int) -> list[BatchPlan]:
        return [BatchPlan([index], [0]) for index, length in enumerate(lengths) if length]


class WarmState(StartState):
    """Every sentence starts from a measured mean state.

    Args:
        state: the mean over the last states of some sentences, (2, 1, ...) each.
        num_sentences: the number of these sentences.
    """

    def __init__(self, state: State, *, num_sentences: int) -> None:
        self._state = list(state)
        self._num_sentences = num_sentences

    def own(self) -> dict[str, Any]:
        return {"state": [part.cpu() for part in self._state], "num_sentences": self._num_sentences}

    def before(self, rows: Sequence[int]) -> State:
        return [part.repeat(1, len(rows), *[1] * (part.dim() - 2)) for part in self._state]

    def metadata(self) -> dict[str, Any]:
        return {"warm_up_sentences": self._num_sentences}

    def save(self, path: Path, *, fingerprint: str) -> None:
        """Write the state atomically, replacing an existing file. `fingerprint` is that of the biLM."""
        tensors = {f"start_{index}": part.cpu().contiguous() for index, part in enumerate(self._state)}
        metadata = {"fingerprint": fingerprint, "num_sentences": str(self._num_sentences)}
        with atomic_write(path) as aside:
            write_tensors(aside, tensors, metadata=metadata)

    @classmethod
    def load(cls, path: Path, *, bilm: BiLm, fingerprint: str) -> WarmState:
        """Read a file that `save` wrote; InputError if it is damaged or belongs to another biLM."""
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                parts = {name: file.get_tensor(name) for name in list(file.keys())}
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path}: damaged ({reason_of(error)}); warm up again") from error
        if metadata.get("fingerprint") != fingerprint:
            raise InputError(f"{path}: the warm state of another model; warm up again")
        zero = {f"start_{index}": part for index, part in enumerate(bilm.context.zero_state(1))}
        number = metadata.get("num_sentences", "")
        fits = {name: part.shape for name, part in parts.items()} == {
            n: part.shape for n, part in zero.items()
        }
        if not fits or not re.fullmatch(r"\d{1,18}", number):
            raise InputError(f"{path}: damaged (it does not have the state of this model); warm up again")
        for name, part in parts.items():
            refuse_non_finite(part, name=f"{path}: {name}")
        return cls([parts[name].to(part) for name, part in zero.items()], num_sentences=int(number))
