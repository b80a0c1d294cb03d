"""What the trainings of all tasks with gold answers have in common (see `tasks.task.Training`)."""

from __future__ import annotations

from typing import Any

from torch import nn

from tasks.supervised.encoder_parts import EncoderParts
from tasks.task import Reports, Setup


class SupervisedTraining:
    """A model, examples in batches, and nothing that is carried from one batch to the next.

    Attributes:
        setup: that the training began with.
        model: with its representation as `representation`.
        encoder: the parts of the model's encoder.
        reports: of the same model.
    """

    unit = "examples"
    gradient_scale = 1.0
    loss_name = "train/loss"
    setup: Setup
    model: nn.Module
    encoder: EncoderParts
    reports: Reports

    def constants(self) -> set[str]:
        """The names in the model's state of frozen encoders' weights."""
        return self.encoder.constants(self.model)

    def rate_factors(self) -> dict[str, float]:
        """The factors of fine-tuning on learning rates."""
        return self.encoder.rate_factors()

    def state_dict(self) -> dict[str, Any]:
        """Nothing: each batch is by itself."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing was carried."""
