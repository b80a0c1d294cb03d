"""Everything that a resumed run needs to go on bit for bit: taken from a training, and given back to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from elmo.errors import InputError, faults_of
from elmo.io.model_directory import load_weights
from experiments.training.position import Position
from experiments.training.saving.generators import generator_states, restore_generators
from experiments.training.saving.saved_state import (
    SavedState,
    fitted_to_device,
    read_state,
    refuse_unlike,
    refuse_unlike_optimizer,
)
from tasks.task import Batches, Training


class TrainingState:
    """The state of a training, its optimizer, its batches and the random generators of its device.

    Args:
        training: the training of a task.
        optimizer: of its model.
        batches: of the training.
        device: of the model.
        name: of where states are saved, for messages.
    """

    def __init__(
        self,
        *,
        training: Training,
        optimizer: torch.optim.Optimizer,
        batches: Batches,
        device: torch.device,
        name: str,
    ) -> None:
        self.training, self.optimizer, self.batches = training, optimizer, batches
        self.device, self.name = device, name
        self._constants = training.constants()

    def take(self, position: Position, *, metric: str) -> dict[str, Any]:
        """The state as it is now, with how far the run is, and the metric that decides on the best.

        Its tensors are the training's own.
        """
        return {
            "model": self._learned(),
            "optimizer": self.optimizer.state_dict(),
            "batches": self.batches.state_dict(),
            "task": self.training.state_dict(),
            "fingerprints": self.training.reports.fingerprints(),
            "position": asdict(position),
            "metric": metric,
            "generators": generator_states(self.device),
        }

    def give_back(self, state: Mapping[Any, Any]) -> SavedState:
        """Set everything to a state of a checkpoint, also of one from another type of device; returns it.

        Raises:
            InputError: the data is not what it was, or the state is damaged.
        """
        saved = read_state(state, name=self.name)
        self._refuse_other_data(saved.fingerprints)
        optimizer = fitted_to_device(saved.optimizer, self.optimizer)
        refuse_unlike_optimizer(optimizer, self.optimizer, name=f"{self.name}: optimizer")
        refuse_unlike(saved.batches, self.batches.state_dict(), name=f"{self.name}: batches")
        self._load_weights(saved.model)
        self.optimizer.load_state_dict(optimizer)
        with faults_of(self.name):
            self.batches.load_state_dict(saved.batches)
            self.training.load_state_dict(saved.task)
            restore_generators(saved.generators, self.device)
        return saved

    def give_back_weights(self, state: Mapping[Any, Any]) -> SavedState:
        """Set the model's weights alone to those of a state of a checkpoint, which is returned."""
        saved = read_state(state, name=self.name)
        self._load_weights(saved.model)
        return saved

    def _refuse_other_data(self, fingerprints: Mapping[str, str]) -> None:
        own = self.training.reports.fingerprints()
        others = [split for split, fingerprint in own.items() if fingerprints.get(split) != fingerprint]
        if others:
            raise InputError(
                f"resume: the {' and '.join(others)} data is not what the run began with; give it back, or"
                " start a new run with init_from"
            )

    def _learned(self) -> dict[str, Tensor]:
        """The model's state without what never changes in this run, such as a frozen encoder's weights."""
        states = self.training.model.state_dict()
        return {name: value for name, value in states.items() if name not in self._constants}

    def _load_weights(self, learned: Mapping[str, Tensor]) -> None:
        own = self.training.model.state_dict()
        whole = {**{name: own[name] for name in self._constants}, **learned}
        load_weights(self.training.model, whole, name=self.name)
