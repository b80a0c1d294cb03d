"""The common part of the training of all supervised tasks (see `tasks.task.Training`)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from tasks.supervised.encoder_parts import EncoderParts
from tasks.task import Reports, Setup


class SupervisedTraining:
    """A training on batches of examples, without a state that is carried from batch to batch.

    Attributes:
        setup: the setup of the training.
        model: the model; its attribute `representation` is a `Representation`.
        encoder: the parts of the model's encoder.
        reports: the reports of the same model.
    """

    unit = "examples"
    gradient_scale = 1.0
    loss_name = "train/loss"
    setup: Setup
    model: nn.Module
    encoder: EncoderParts
    reports: Reports

    def partial_sums(self) -> list[Tensor]:
        """None: there are only gradients."""
        return []

    def constants(self) -> set[str]:
        """The names of frozen encoders' weights in the model's state."""
        return self.encoder.constants(self.model)

    def rate_factors(self) -> dict[str, float]:
        """The factors of learning rates for fine-tuning."""
        return self.encoder.rate_factors()

    def state_dict(self) -> dict[str, Any]:
        """Empty: no state is carried."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""
