"""One training run: `python -m experiments.train [overrides]`; with none, a biLM on `data=sotu`."""

from __future__ import annotations

import dataclasses
import shutil
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elmo.errors import InputError
from experiments.config.command import run_command
from experiments.config.save import plain_config, save_overrides, save_resolved
from experiments.config.schema import TrainConfig

if TYPE_CHECKING:  # torch and what stands on it take a second to import, which `--help` shall not wait for
    from experiments.io.run_directory import RunDirectory
    from experiments.logging.run_logger import RunLogger
    from experiments.training.trainer import Trainer
    from tasks.task import Training


class Figures(dict[str, Any]):
    """The final figures of a run by metric name, as its metrics.json has them.

    Attributes:
        path: the run's directory.
    """

    def __init__(self, figures: Mapping[str, Any], *, path: Path) -> None:
        super().__init__(figures)
        self.path = path


def main(config: TrainConfig, overrides: list[str]) -> None:
    """Train as configured and write the run's directory; InputError for the user's mistakes."""
    train(config, overrides)


def train(config: TrainConfig, overrides: list[str]) -> Figures:
    """As `main`; returns the figures."""
    from elmo.device import choose_device
    from experiments.config.build import make_trainer, start_training
    from experiments.config.initial import with_initial_encoder
    from experiments.config.resume import is_resumed, place_run
    from experiments.io.run_directory import open_run_directory
    from experiments.logging.report import print_facts
    from experiments.training.process import set_up_process

    device = choose_device(config.trainer.device)
    set_up_process(num_threads=config.trainer.num_threads, device=device)
    if not is_resumed(config):
        config = with_initial_encoder(config, overrides)
    config = place_run(config, overrides)
    resumed = config.resume is not None
    with open_run_directory(Path(str(config.output_dir)), resumed=resumed) as run:
        training = start_training(config, device)
        trainer = make_trainer(config, training, run.checkpoints_path)
        if resumed:
            trainer.load_state_dict(trainer.checkpoints.load("last"))
        _record_start(config, overrides, run, trainer)  # only now: a start that fails changes nothing
        with _open_logger(config, run, trainer) as logger:
            print_facts(run.path.name, training, trainer)
            scores = _train(config, trainer, run, logger)
            return Figures(_finish(training, trainer, run, logger, scores), path=run.path)


def _record_start(config: TrainConfig, overrides: list[str], run: RunDirectory, trainer: Trainer) -> None:
    """Add this start to the record of the run, and save the config that the run now has."""
    from experiments.io.environment import describe_start, read_starts, write_starts

    resumed = config.resume is not None
    config = dataclasses.replace(config, resume=None)
    start = describe_start(
        step=trainer.position.step,
        overrides=overrides,
        config=plain_config(config),
        seed=config.seed,
        fingerprints=trainer.training.reports.fingerprints(),
    )
    earlier = read_starts(run.environment_path) if resumed and run.environment_path.exists() else []
    write_starts(run.environment_path, [*earlier, start])
    save_resolved(config, run.config_path)
    if not resumed:
        save_overrides(overrides, run.overrides_path)


def _open_logger(config: TrainConfig, run: RunDirectory, trainer: Trainer) -> RunLogger:
    from experiments.logging.run_logger import open_run_logger

    options, position = config.logger, trainer.position
    return open_run_logger(
        run,
        wandb=options.wandb.value,
        tensorboard=options.tensorboard,
        project=options.project,
        entity=options.entity,
        group=options.group,
        tags=options.tags,
        config=plain_config(config),
        resumed_step=None if config.resume is None else position.step,
        is_evaluated=position.evaluated_step == position.step,
    )


def _train(config: TrainConfig, trainer: Trainer, run: RunDirectory, logger: RunLogger) -> dict[str, float]:
    """Run the trainer with a progress display; Ctrl-C or SIGTERM ends it behind the step under way."""
    import torch

    from experiments.logging.progress import make_progress
    from experiments.training.threads import watch_threads

    def stop(number: int, frame: object) -> None:
        trainer.request_stop()
        signal.signal(number, signal.default_int_handler)  # a second one ends it at once

    is_main = threading.current_thread() is threading.main_thread()  # no other thread may set handlers
    signals = (signal.SIGINT, signal.SIGTERM) if is_main else ()
    before = [signal.signal(number, stop) for number in signals]
    done = trainer.progress() if trainer.position.step else 0.0
    kind, units = config.logger.progress.value, trainer.position.units
    is_adaptive = config.trainer.num_threads is None and trainer.device.type == "cpu"
    threads = watch_threads() if is_adaptive else None
    try:
        with make_progress(
            kind, title="training", unit=trainer.training.unit, start_tokens=units, start_fraction=done
        ) as progress:

            def show(step: int, units: int, loss: float, fraction: float) -> None:
                progress.update(fraction=fraction, tokens=units, step=step, loss=loss)
                if threads is not None and threads.adjust():
                    logger.log(step, {"num_threads": torch.get_num_threads()})

            return trainer.run(show=show, log=logger.log)
    except KeyboardInterrupt:
        print(f"stopped after step {trainer.position.step}; resume={run.path} goes on", file=sys.stderr)
        raise
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def _finish(
    training: Training, trainer: Trainer, run: RunDirectory, logger: RunLogger, scores: Mapping[str, float]
) -> dict[str, Any]:
    """Write the model and the final figures, and print them; returns the figures."""
    from experiments.io.environment import peak_accelerator_memory_bytes, peak_memory_bytes
    from experiments.logging.report import print_figures

    if run.model_path.exists():
        shutil.rmtree(run.model_path)  # of a finished run that was resumed for longer
    try:
        training.reports.save_model(run.model_path)
    except InputError as error:  # the disk is full; all that was learned is in the last checkpoint
        raise InputError(f"{error}; then resume={run.path} writes it") from error
    figures: dict[str, Any] = {
        **scores,
        **training.reports.conclude(),
        f"train/{training.unit}_per_second": trainer.units_per_second(),
        f"train/{training.unit}": trainer.position.units,
        "train/steps": trainer.position.step,
        "train/best_step": trainer.position.best_step,
        "seconds": trainer.position.seconds,
        "peak_memory_bytes": peak_memory_bytes(),
    }
    if trainer.device.type == "cuda":
        figures["peak_accelerator_memory_bytes"] = peak_accelerator_memory_bytes()
    logger.summarize(figures)
    training.reports.write_reports(run.path)
    logger.show_tables(training.reports.tables())
    print_figures(training.reports.table(figures), figures, run.path)
    return figures


def command() -> int:
    """`elmo-train`, which is `python -m experiments.train`: the exit code."""
    return run_command(main, config_name="train")


if __name__ == "__main__":
    sys.exit(command())
