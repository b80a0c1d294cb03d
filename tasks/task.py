"""The interfaces of a task: its setup, its training as the trainer uses it, its reports, its predictor."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from elmo.io.model_directory import SavedModel
from tasks.processes import Processes
from tasks.sources.shared.rows import InputTable

Report = Callable[[int, int, float | None], None]  # words, sentences, fraction done (None: unknown)
Tell = Callable[[str, int, int], None]  # split that is scored, units done, units of the whole split
T = TypeVar("T")


def tell_nobody(split: str, done: int, total: int) -> None:
    """A `Tell` for evaluations that nobody watches."""


def told(items: Iterable[T], tell: Tell, *, split: str, total: int, size: Callable[[T], int]) -> Iterator[T]:
    """The items of an evaluation, such as its batches; what is done is told after each of them.

    Args:
        items: what is scored, in order.
        tell: it may raise, which ends the evaluation.
        split: of the data.
        total: units of all items.
        size: the units of one item.
    """
    done = 0
    for item in items:
        yield item
        done += size(item)
        tell(split, done, total)


@dataclass(frozen=True)
class Setup:
    """The inputs of a task besides its own arguments, as plain values.

    Attributes:
        nodes: the config's component groups (`encoder`, `data`, ...), each `{type: ..., argument: value}`.
        vocabulary: path, min_count and max_size of the softmax's vocabulary.
        batch_size: number of rows or examples in a batch, over all processes.
        seed: of the shuffling of the data.
        device: of the model and the batches.
        cache_path: the directory of prepared data.
        report: called with the progress while data is prepared.
        tell: called with the progress of an evaluation.
        metric: the score on dev that selects the model; None: none is selected.
        initial: the run, model or official files with the encoder's initial weights; None: random weights.
        fine_tuning: arguments of `tasks.supervised.fine_tuning.FineTuning`.
        features: the store of a frozen encoder's vectors (see `tasks.supervised.feature_store`).
        accumulate_batches: number of batches whose gradients make one step.
        processes: that train together; each computes its rows of every batch.
    """

    nodes: Mapping[str, Any]
    vocabulary: Mapping[str, Any]
    batch_size: int
    seed: int
    device: torch.device
    cache_path: Path
    report: Report
    tell: Tell = tell_nobody
    metric: str | None = None
    initial: str | None = None
    fine_tuning: Mapping[str, Any] = field(default_factory=dict)
    features: Mapping[str, Any] = field(default_factory=dict)
    accumulate_batches: int = 1
    processes: Processes = field(default_factory=Processes)


class TrainingBatch(Protocol):
    """A process's rows or examples of a batch; with one process, the whole batch.

    Attributes:
        num_units: units of the whole batch.
        share: factor of the mean loss of these rows; summed over the processes it is 1, and the products are
            the mean loss of the whole batch.
    """

    @property
    def num_units(self) -> int: ...

    @property
    def share(self) -> float: ...


class Batches(Protocol):
    """An endless iterator over training batches whose position can be saved and restored."""

    def __next__(self) -> Any: ...  # a TrainingBatch

    def state_dict(self) -> dict[str, Any]:
        """The position; taking further batches does not change the result."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Training(Protocol):
    """The training of a task, as the trainer uses it.

    Attributes:
        model: the model to train.
        unit: the unit in which the trainer counts, `tokens` or `examples`.
        units_per_epoch: number of units in the training data; it defines an epoch.
        units_per_batch: number of units in a full batch.
        gradient_scale: factor of the loss before the backward pass.
        loss_name: the metric name of `loss`, such as `train/sampled_loss`.
        reports: the reports of this training.
    """

    model: nn.Module
    unit: str
    units_per_epoch: int
    units_per_batch: int
    gradient_scale: float
    loss_name: str
    reports: Reports

    def batches(self) -> Batches:
        """A new iterator over the training data."""
        ...

    def loss(self, batch: Any) -> Tensor:
        """The mean loss of a batch's own rows in nats, a differentiable scalar."""
        ...

    def describe(self, batch: Any) -> str:
        """A short description of a batch for messages, with which it can be found in the data."""
        ...

    def evaluate(self) -> dict[str, float]:
        """The model's current scores on the dev split, by metric name."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """The state that is carried from batch to batch."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the result of `state_dict`."""
        ...

    def partial_sums(self) -> list[Tensor]:
        """Tensors of which each process has its part, which are summed in place after every step."""
        ...

    def constants(self) -> set[str]:
        """Names of the tensors in the model's state that never change, such as a frozen encoder's weights."""
        ...

    def rate_factors(self) -> dict[str, float]:
        """Factors of the learning rates, by parameter name; a missing one is 1."""
        ...


@runtime_checkable
class RecordableTraining(Training, Protocol):
    """A training whose losses can be recorded as what a device does, and replayed for other batches.

    Its batches have the method `mapped`, which applies a function to each tensor.

    Attributes:
        has_fixed_shapes: whether shapes return often enough for it.
        carried: the tensors that are carried from batch to batch; `loss` puts new ones in their place.
        num_batches: how many batches there were; `loss` counts them.
    """

    has_fixed_shapes: bool
    carried: list[Tensor]
    num_batches: int

    def shape_of(self, batch: Any) -> Hashable | None:
        """All that the work for a batch depends on besides the values of its tensors; None: it is one of a
        kind."""
        ...


class Reports(Protocol):
    """The reports of a training: before its first step and after its last."""

    def facts(self) -> dict[str, float | str]:
        """Facts for the user before the first step: counts as int, percentages as float, warnings as str."""
        ...

    def activation_bytes(self, units_per_batch: int) -> int:
        """An estimate of the memory in bytes of the activations of a training batch of this many units."""
        ...

    def fingerprints(self) -> dict[str, str]:
        """Fingerprints of the data, by split."""
        ...

    def conclude(self) -> dict[str, float]:
        """The final figures of the selected model by metric name: scores on the test split, baselines."""
        ...

    def table(self, figures: Mapping[str, float]) -> tuple[list[str], list[list[Any]]]:
        """Columns and rows of a table of final figures, with those of the baselines."""
        ...

    def tables(self) -> dict[str, tuple[list[str], list[list[Any]]]]:
        """Columns and rows of larger results, such as a confusion matrix, by name; after `conclude`."""
        ...

    def write_reports(self, path: Path) -> None:
        """Write predictions and plots into a run's directory, after `conclude`."""
        ...

    def save_model(self, path: Path) -> None:
        """Write the self-contained model directory."""
        ...


class Task(Protocol):
    """A registered task: checks its setup, starts a training, evaluates and predicts with a saved model."""

    def start(self, setup: Setup) -> Training:
        """Prepare the data and build the model, on the CPU. Raises InputError for faults of the data."""
        ...

    def evaluate(
        self, saved: SavedModel, setup: Setup, *, with_baselines: bool, name: str
    ) -> dict[str, float]:
        """The test figures of a saved model on the data of `setup`, by metric name."""
        ...

    def table(self, figures: Mapping[str, float]) -> tuple[list[str], list[list[Any]]]:
        """Columns and rows of a table of the figures that `evaluate` returns."""
        ...

    def check(self, setup: Setup) -> None:
        """Check the components' values without reading data; InputError for the faults."""
        ...

    def score_names(self, setup: Setup) -> list[str]:
        """The names of the scores that `Training.evaluate` may return, known without reading data."""
        ...

    def predictor(self, saved: SavedModel, setup: Setup, *, name: str) -> Predictor:
        """The predictor for new text with the saved model of the directory `name`; needs no data.

        Raises:
            InputError: the task has no predictions, or the directory is not complete.
        """
        ...


@runtime_checkable
class ContinuingTask(Task, Protocol):
    """A task that trains a whole biLM, and goes on with the one of `Setup.initial`, whatever its sizes."""

    def initial_encoder(self, initial: str) -> dict[str, Any]:
        """The `encoder` node of the biLM that `initial` names; InputError: it cannot be trained."""
        ...


class Predictor(Protocol):
    """Predicts with a trained model, independently for each input record."""

    def read(self, record: Mapping[Any, Any]) -> Any:
        """Read a record into an input of `predict`; InputError names what is missing, but not the line."""
        ...

    def predict(self, inputs: Sequence[Any]) -> list[dict[str, Any]]:
        """The predictions for results of `read`, in order, as plain values; with the record's `id` if any."""
        ...


@runtime_checkable
class TablePredictor(Predictor, Protocol):
    """A predictor of texts that reads tables by the columns of the training data.

    Attributes:
        table: where the texts of a row are.
    """

    table: InputTable


@runtime_checkable
class ExplainingPredictor(Predictor, Protocol):
    """A predictor that can attribute its predictions to words."""

    def explain(self, inputs: Sequence[Any]) -> list[list[tuple[str, float]]]:
        """The words of each input with their contributions for (> 0) or against (< 0) the prediction."""
        ...
