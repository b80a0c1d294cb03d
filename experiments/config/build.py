"""Builds what a checked config describes: the training of its task on a device, and the trainer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch

from elmo.errors import InputError
from elmo.registry import REGISTRY
from experiments.config.check import GIVEN
from experiments.config.schema import TrainConfig
from experiments.logging.progress import make_progress
from experiments.training.position import Limits, Periods
from experiments.training.precision import choose_dtype
from experiments.training.saving.checkpoint import Checkpoints
from experiments.training.stop import Stop
from experiments.training.trainer import Trainer
from tasks.processes import Processes
from tasks.task import Report, Setup, Task, Tell, Training, tell_nobody


def start_training(
    config: TrainConfig,
    device: torch.device,
    *,
    tell: Tell = tell_nobody,
    processes: Processes | None = None,
) -> Training:
    """The training on its device; faults of the components' values are found before data is read.

    Args:
        config: of the run.
        device: of the model and the batches.
        tell: called with the progress of an evaluation.
        processes: that train together; the first one prepares the data. None: this one alone.
    """
    with make_progress(config.logger.progress.value, title="preparing") as progress:
        setup = _make_setup(
            config,
            device,
            report=lambda tokens, sentences, fraction: progress.update(
                fraction=fraction or 0.0, tokens=tokens, sentences=sentences
            ),
            tell=tell,
            processes=processes or Processes(),
        )
        task = REGISTRY.build("task", config.task)
        task.check(setup)
        _check_metric(config.trainer.metric, task.score_names(setup))
        REGISTRY.build("optimizer", config.optimizer)
        REGISTRY.build("schedule", config.schedule)
        training: Training = setup.processes.in_turn(lambda: _seeded_start(task, setup))
        setup.processes.take_over(training.model.state_dict().values())
    return training


def _seeded_start(task: Task, setup: Setup) -> Training:
    torch.manual_seed(setup.seed)
    return task.start(setup)


def make_trainer(
    config: TrainConfig,
    training: Training,
    checkpoints_path: Path,
    stop: Stop,
    processes: Processes | None = None,
) -> Trainer:
    """The trainer of a training, at its start; its checkpoints go to `checkpoints_path`; `stop` ends it.

    Of several processes, the first one saves.
    """
    options, device = config.trainer, next(training.model.parameters()).device
    return Trainer(
        training=training,
        optimizer=REGISTRY.build("optimizer", config.optimizer).create(
            training.model, training.rate_factors()
        ),
        schedule=REGISTRY.build("schedule", config.schedule),
        limits=Limits(*options.limits()),
        periods=Periods(
            options.evaluate_every,
            options.save_every,
            options.log_every,
            options.save_every_minutes,
            options.keep_at or (),
        ),
        accumulate_batches=options.accumulate_batches,
        clip_norm=options.clip_norm,
        dtype=choose_dtype(options.precision.value, device),
        evaluation_dtype=choose_dtype(
            options.evaluation_precision.value, device, key="trainer.evaluation_precision"
        ),
        metric=options.metric,
        is_minimized=options.metric_goal.value == "minimize",
        patience=options.patience,
        checkpoints=Checkpoints(
            checkpoints_path,
            keep=options.keep_checkpoints,
            is_writer=processes is None or processes.is_first,
        ),
        stop=stop,
        processes=processes,
        seed=config.seed,
    )


def _check_metric(metric: str, names: Sequence[str]) -> None:
    if metric not in names:
        raise InputError(f"trainer.metric: no score {metric!r} of this task; one of {', '.join(names)}")


def _make_setup(
    config: TrainConfig, device: torch.device, *, report: Report, tell: Tell, processes: Processes
) -> Setup:
    nodes = {group: getattr(config, group, None) for group in GIVEN}  # some are of other commands
    return Setup(
        nodes={group: node for group, node in nodes.items() if node is not None},
        vocabulary=dataclasses.asdict(config.vocabulary),
        batch_size=config.trainer.batch_size,
        seed=config.seed,
        device=device,
        cache_path=Path(config.cache_dir),
        report=report,
        tell=tell,
        metric=config.trainer.metric,
        initial=config.init_from,
        fine_tuning=dataclasses.asdict(config.fine_tuning),
        features={**dataclasses.asdict(config.features), "dtype": config.features.dtype.value},
        accumulate_batches=config.trainer.accumulate_batches,
        processes=processes,
    )
