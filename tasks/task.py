"""What a task is to the trainer (a model, batches, a loss, scores) and what it is given to start from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from elmo.io.model_directory import SavedModel

Report = Callable[[int, int, float | None], None]  # words, sentences, share done if known


@dataclass(frozen=True)
class Setup:
    """Everything outside of a task's own arguments that it starts from, as plain values.

    Attributes:
        nodes: the config's component groups (`encoder`, `data`, ...), each `{type: ..., argument: value}`.
        vocabulary: path, min_count and max_size of the softmax's targets.
        batch_size: rows of a batch.
        seed: of the order of the data.
        device: where batches go.
        cache_path: where prepared data lies.
        shard, num_shards: this process's number and the number of processes.
        report: called while data is prepared.
        initial: the run, model or official files that the encoder starts from; None: it starts fresh.
        fine_tuning: how a pretrained encoder goes on learning (see `tasks.supervised.fine_tuning`).
        features: how a frozen encoder's vectors are kept (see `tasks.supervised.feature_store`).
    """

    nodes: Mapping[str, Any]
    vocabulary: Mapping[str, Any]
    batch_size: int
    seed: int
    device: torch.device
    cache_path: Path
    report: Report
    initial: str | None = None
    fine_tuning: Mapping[str, Any] = field(default_factory=dict)
    features: Mapping[str, Any] = field(default_factory=dict)
    shard: int = 0
    num_shards: int = 1


class Batches(Protocol):
    """An endless stream of training batches that can be saved and gone on with."""

    def __next__(self) -> Any: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Training(Protocol):
    """A task under way, as the trainer sees it.

    Attributes:
        model: what is trained.
        unit: what a batch is counted in, `tokens` or `examples`.
        units_per_epoch: of the training data; the trainer's epochs are shares of it.
        units_per_batch: in a full batch.
        gradient_scale: what the loss is multiplied by before it is differentiated.
        loss_name: the metric that `loss` is, such as `train/sampled_loss`.
        reports: what is told and kept of it.
    """

    model: nn.Module
    unit: str
    units_per_epoch: int
    units_per_batch: int
    gradient_scale: float
    loss_name: str
    reports: Reports

    def batches(self) -> Batches:
        """The training data, from the beginning."""
        ...

    def loss(self, batch: Any) -> Tensor:
        """The mean loss of a batch, in nats; a scalar that can be differentiated."""
        ...

    def describe(self, batch: Any) -> str:
        """A batch in a few words, to find it in the data."""
        ...

    def evaluate(self) -> dict[str, float]:
        """The scores on the dev split of the model as it is, by metric name."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What the task carries from batch to batch."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with what was carried."""
        ...

    def constants(self) -> set[str]:
        """The names within the model's state that never change, such as a frozen encoder's weights."""
        ...

    def rate_factors(self) -> dict[str, float]:
        """Factors on the learning rates of parameters, by name; those that are not named have 1."""
        ...


class Reports(Protocol):
    """What is told and kept of a task under way: before the first step, and after the last."""

    def facts(self) -> dict[str, float | str]:
        """What the user wants to see before the first step: counts of the data, coverage, sizes."""
        ...

    def activation_bytes(self, units_per_batch: int) -> int:
        """An estimate of the memory of the intermediate values of a training batch of so many units."""
        ...

    def fingerprints(self) -> dict[str, str]:
        """Of the data, by part."""
        ...

    def conclude(self) -> dict[str, float]:
        """What is measured once, of the model that is kept: the test split, baselines; by metric name."""
        ...

    def table(self, figures: Mapping[str, float]) -> tuple[list[str], list[list[Any]]]:
        """The columns and rows that show final figures, baselines among them, to a reader."""
        ...

    def tables(self) -> dict[str, tuple[list[str], list[list[Any]]]]:
        """Columns and rows of larger results, such as a confusion matrix, by name; after `conclude`."""
        ...

    def write_reports(self, path: Path) -> None:
        """Write what a reader wants to look at beside figures into a run's directory, after `conclude`."""
        ...

    def save_model(self, path: Path) -> None:
        """Write the self-contained model directory."""
        ...


class Task(Protocol):
    """A registered task: its own arguments, and how it starts."""

    def start(self, setup: Setup) -> Training:
        """Prepare the data and build the model, on the CPU. Raises InputError for faults of the data."""
        ...

    def evaluate(
        self, saved: SavedModel, setup: Setup, *, with_baselines: bool, name: str
    ) -> dict[str, float]:
        """The test figures of a saved model on the data of `setup`, by metric name."""
        ...

    def table(self, figures: Mapping[str, float]) -> tuple[list[str], list[list[Any]]]:
        """The columns and rows that show such figures to a reader."""
        ...

    def check(self, setup: Setup) -> None:
        """Find faults of the components' values without reading data. Raises InputError."""
        ...

    def predictor(self, saved: SavedModel, setup: Setup, *, name: str) -> Predictor:
        """What answers new text with the saved model of the directory `name`, without any data.

        Raises:
            InputError: the task answers nothing, or the directory lacks something.
        """
        ...


class Predictor(Protocol):
    """A trained model that answers records, each by itself."""

    def read(self, record: Mapping[str, Any]) -> Any:
        """What the model needs of a record. Raises InputError: what the record lacks, but not where it is."""
        ...

    def predict(self, inputs: Sequence[Any]) -> list[dict[str, Any]]:
        """The answers to what `read` gave, in order, as plain values; a record's own `id` is repeated."""
        ...


@runtime_checkable
class ExplainingPredictor(Predictor, Protocol):
    """A predictor that tells which words its answers rest on."""

    def explain(self, inputs: Sequence[Any]) -> list[list[tuple[str, float]]]:
        """The words of each input and how much each speaks for (> 0) or against the answer."""
        ...
