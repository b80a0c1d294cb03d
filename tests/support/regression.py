"""A linear regression as a task under training, and a trainer for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from experiments.training.optimization.schedules import ConstantSchedule
from experiments.training.position import Limits, Periods
from experiments.training.saving.checkpoint import Checkpoints
from experiments.training.stop import Stop
from experiments.training.trainer import Schedule, Show, Trainer

NUM_ROWS = 8
GENERATOR = torch.Generator().manual_seed(5)
INPUTS = torch.randn(NUM_ROWS, 4, generator=GENERATOR)
TARGETS = INPUTS @ torch.tensor([1.0, -2.0, 0.5, 3.0]) + 0.3


@dataclass
class Rows:
    """Which rows of the data a batch holds."""

    indices: Tensor
    share = 1.0

    @property
    def num_units(self) -> int:
        return len(self.indices)


class RowBatches:
    """All rows in their order, again and again."""

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self.taken = 0

    def __next__(self) -> Rows:
        start = self.taken * self.batch_size
        self.taken += 1
        return Rows(torch.arange(start, start + self.batch_size) % NUM_ROWS)

    def state_dict(self) -> dict[str, Any]:
        return {"taken": self.taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.taken = state["taken"]


class Regression:
    """A linear model of four inputs under training; its scores can be given instead of computed."""

    unit = "examples"
    units_per_epoch = NUM_ROWS
    gradient_scale = 1.0
    loss_name = "train/loss"

    def __init__(
        self, *, batch_size: int = 2, scores: Sequence[float] = (), device: str | torch.device = "cpu"
    ) -> None:
        torch.manual_seed(1)
        self.model: nn.Module = nn.Linear(4, 1).to(device)
        self.inputs, self.targets = INPUTS.clone().to(device), TARGETS.clone().to(device)
        self.units_per_batch = batch_size
        self.scores: Iterator[float] = iter(scores)

    def batches(self) -> RowBatches:
        return RowBatches(self.units_per_batch)

    def loss(self, batch: Rows) -> Tensor:
        outputs = self.model(self.inputs[batch.indices]).squeeze(1)
        return ((outputs - self.targets[batch.indices]) ** 2).mean()

    def describe(self, batch: Rows) -> str:
        return f"the rows {batch.indices.tolist()}"

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        computed = float(self.loss(Rows(torch.arange(NUM_ROWS))))
        return {"dev/error": next(self.scores, computed)}

    def conclude(self) -> dict[str, float]:
        return {}

    def constants(self) -> set[str]:
        return set()

    def rate_factors(self) -> dict[str, float]:
        return {}

    def write_reports(self, path: Path) -> None:
        pass

    def tables(self) -> dict[str, tuple[list[str], list[list[Any]]]]:
        return {}

    def facts(self) -> dict[str, float | str]:
        return {}

    def table(self, figures: Mapping[str, float]) -> tuple[list[str], list[list[Any]]]:
        return [], []

    def activation_bytes(self, units_per_batch: int) -> int:
        return 1000

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass

    @property
    def reports(self) -> Any:
        """It tells of itself."""
        return self

    def fingerprints(self) -> dict[str, str]:
        return {}

    def save_model(self, path: Path) -> None:
        raise NotImplementedError

    def weights(self) -> dict[str, Tensor]:
        """A copy, to compare with later."""
        return {name: value.clone() for name, value in self.model.state_dict().items()}


@dataclass
class Run:
    """A trainer with what it has logged, by step."""

    trainer: Trainer
    events: list[tuple[int, dict[str, float]]]

    def train(self, show: Show = lambda step, units, loss, fraction: None) -> dict[str, float]:
        return self.trainer.run(show=show, log=lambda step, values: self.events.append((step, dict(values))))

    def steps_with(self, metric: str) -> list[int]:
        return [step for step, values in self.events if metric in values]


def start(
    training: Regression,
    path: Path,
    *,
    limits: Limits = Limits(4, None, None),  # noqa: B008  frozen
    periods: Periods = Periods(None, None, 1),  # noqa: B008
    optimizer: torch.optim.Optimizer | None = None,
    schedule: Schedule | None = None,
    accumulate_batches: int = 1,
    clip_norm: float | None = None,
    dtype: torch.dtype = torch.float32,
    metric: str = "dev/error",
    is_minimized: bool = True,
    patience: int | None = None,
) -> Run:
    trainer = Trainer(
        training=training,
        optimizer=optimizer or torch.optim.SGD(training.model.parameters(), lr=0.1),
        schedule=schedule or ConstantSchedule(warmup_steps=0),
        limits=limits,
        periods=periods,
        accumulate_batches=accumulate_batches,
        clip_norm=clip_norm,
        dtype=dtype,
        metric=metric,
        is_minimized=is_minimized,
        patience=patience,
        checkpoints=Checkpoints(path / "checkpoints", keep=2),
        stop=Stop(),
    )
    return Run(trainer, [])
