"""One training run: `python -m experiments.train [overrides]`; with none, a biLM on `data=sotu`."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elmo.errors import InputError
from experiments.config.arguments import asks_for_sweep
from experiments.config.command import BAD_INPUT, refuse, run_command
from experiments.config.save import chosen_options, plain_config, save_overrides, save_resolved
from experiments.config.schema import TrainConfig
from experiments.training.processes.torchrun import check_place, leave_word_to_first, place_of_process

if TYPE_CHECKING:  # torch and what stands on it take a second to import, which `--help` shall not wait for
    from experiments.io.run_directory import RunDirectory
    from experiments.logging.run_logger import RunLogger
    from experiments.training.trainer import Trainer
    from tasks.processes import Processes


Judge = Callable[[int, float], bool]  # of an evaluation's step and score: whether the run goes on


def no_judge(step: int, score: float) -> bool:
    """Lets every run go on."""
    return True


class Figures(dict[str, Any]):
    """The final figures of a run by metric name, as its metrics.json has them.

    Attributes:
        path: the run's directory; of a dry run that which it would have.
    """

    def __init__(self, figures: Mapping[str, Any], *, path: Path) -> None:
        super().__init__(figures)
        self.path = path


def main(config: TrainConfig, overrides: list[str], *, judge: Judge = no_judge) -> float | None:
    """Train as configured and write the run's directory; InputError for the user's mistakes.

    Returns the score of the model that is kept by `trainer.metric`; None after a dry run.
    """
    from tasks.processes import LostProcessError

    try:
        value = train(config, overrides, judge=judge).get(config.trainer.metric)
    except LostProcessError as error:  # said at once, and without the others, which leaving could wait for
        print(error, file=sys.stderr, flush=True)
        os._exit(BAD_INPUT)
    return None if value is None else float(value)


def train(
    config: TrainConfig,
    overrides: list[str],
    *,
    on_start: Callable[[Trainer], None] | None = None,
    judge: Judge = no_judge,
) -> Figures:
    """As `main`; returns the figures.

    `on_start` is called with the trainer before anything of this start is recorded; what it raises ends it.
    `judge` may end the run after an evaluation, as a signal would.
    """
    from experiments.config.build import make_trainer, start_training
    from experiments.config.initial import with_initial_encoder
    from experiments.config.resume import is_resumed
    from experiments.dry_run import dry_run
    from experiments.logging.evaluations import Evaluations
    from experiments.training.memory import check_memory, told_out_of_memory
    from experiments.training.process import set_up_process
    from experiments.training.processes.group import choose_own_device, open_processes
    from experiments.training.stop import Stop
    from experiments.training.threads import watch_threads

    place = place_of_process()
    check_place(place, batch_size=config.trainer.batch_size, is_dry=config.dry_run)
    device = choose_own_device(config.trainer.device, place)
    set_up_process(num_threads=config.trainer.num_threads, device=device)
    adjust_threads = watch_threads(num_threads=config.trainer.num_threads, device=device)
    if not is_resumed(config):
        config = with_initial_encoder(config, overrides)
    if config.dry_run:
        path = Path(config.output_dir or Path("runs") / str(config.name))
        with told_out_of_memory(device):
            return Figures(dry_run(config, device), path=path)
    stop = Stop()
    with (
        told_out_of_memory(device),
        open_processes(device, timeout_seconds=config.trainer.process_timeout_seconds) as processes,
        _open_directory(config, processes) as (config, run),
        Evaluations(config.logger.progress.value, stop, adjust_threads=adjust_threads) as evaluations,
    ):
        training = start_training(config, device, tell=evaluations.tell, processes=processes)
        trainer = make_trainer(config, training, run.checkpoints_path, stop, processes)
        if config.resume is not None:
            trainer.load_state_dict(trainer.checkpoints.load("last"))
            if (figures := _figures_of_end(trainer, run)) is not None:
                return Figures(figures, path=run.path)
        if config.trainer.check_memory:
            check_memory(trainer)
        if on_start is not None:
            on_start(trainer)
        if not processes.is_first:
            return Figures(_help_to_train(trainer), path=run.path)
        figures = _train_to_end(config, overrides, run, trainer, adjust_threads, judge)
        return Figures(figures, path=run.path)


@contextmanager
def _open_directory(config: TrainConfig, processes: Processes) -> Iterator[tuple[TrainConfig, RunDirectory]]:
    """The run's directory, which the first process chooses and holds, and the config that names it."""
    from experiments.config.resume import place_run
    from experiments.io.run_directory import RunDirectory, open_run_directory

    def place() -> str:
        placed = place_run(config)
        path = Path(str(placed.output_dir))
        held.enter_context(open_run_directory(path, resumed=placed.resume is not None))
        return json.dumps({key: getattr(placed, key) for key in ("name", "output_dir", "resume")})

    with ExitStack() as held:
        places = json.loads(processes.by_first(place))
        yield dataclasses.replace(config, **places), RunDirectory(Path(str(places["output_dir"])))


def _help_to_train(trainer: Trainer) -> dict[str, Any]:
    """What a process does that is not the first: its part of the steps and of the scores."""

    def show(step: int, units: int, loss: float, fraction: float) -> None:
        """The first process shows it."""

    def log(step: int, values: Mapping[str, float]) -> None:
        """The first process logs it."""

    with trainer.stop.on_signals():
        scores = trainer.run(show=show, log=log)
        with trainer.stop.at_once():
            return {**scores, **trainer.training.reports.conclude()}


def _train_to_end(
    config: TrainConfig,
    overrides: list[str],
    run: RunDirectory,
    trainer: Trainer,
    adjust_threads: Callable[[], object],
    judge: Judge,
) -> dict[str, Any]:
    """Record this start, train, and write all that a finished run has: the final figures."""
    from experiments.logging.report import ESTIMATED_MEMORY, facts_of, figures_of_facts, print_facts
    from experiments.training.memory import told_out_of_memory

    _record_start(config, overrides, run, trainer)  # only now: a start that fails changes nothing
    told = facts_of(trainer)
    print_facts(run.path.name, told)
    facts = figures_of_facts(told)
    with (
        told_out_of_memory(trainer.device, float(told[ESTIMATED_MEMORY])),
        _open_logger(config, run, trainer, facts) as logger,
        _told_how_to_go_on(trainer, run),
        trainer.stop.on_signals(),
    ):
        profile_path = run.path / "profile" if config.profile else None
        scores = _train(config, trainer, logger, adjust_threads, judge, profile_path)
        with trainer.stop.at_once():  # the last step is saved and scored
            return _finish(config, trainer, run, logger, facts=facts, scores=scores)


def _record_start(config: TrainConfig, overrides: list[str], run: RunDirectory, trainer: Trainer) -> None:
    """Add this start to the record of the run, and save the config that the run now has."""
    from experiments.io.environment import describe_start, read_starts, write_starts
    from experiments.records.differences import digit_differences
    from experiments.records.input_files import digest_inputs

    resumed = config.resume is not None
    config = dataclasses.replace(config, resume=None, profile=False)  # both belong to this start alone
    values = plain_config(config)
    start = describe_start(
        step=trainer.position.step,
        overrides=overrides,
        config=values,
        seed=config.seed,
        fingerprints=trainer.training.reports.fingerprints(),
        files=digest_inputs(values, cache_path=Path(config.cache_dir)),
        device=str(trainer.device),
    )
    earlier = read_starts(run.environment_path) if resumed and run.environment_path.exists() else []
    if earlier and (others := digit_differences(earlier[-1], start)):
        told = ", ".join(f"{other.what} {other.first} before, {other.second} now" for other in others)
        print(f"since the start before: {told}; the last digits of the figures may be others")
    write_starts(run.environment_path, [*earlier, start])
    save_resolved(config, run.config_path)
    run.metrics_path.unlink(missing_ok=True)  # of an earlier end: the run is not complete any more
    if not resumed:
        save_overrides(overrides, run.overrides_path)


def _open_logger(
    config: TrainConfig, run: RunDirectory, trainer: Trainer, facts: Mapping[str, float]
) -> RunLogger:
    from experiments.logging.run_logger import open_run_logger

    options, position = config.logger, trainer.position
    return open_run_logger(
        run,
        wandb=options.wandb.value,
        tensorboard=options.tensorboard,
        project=options.project,
        entity=options.entity,
        group=options.group,
        job_type=options.job_type or os.environ.get("WANDB_JOB_TYPE") or _job_type(config),
        tags=options.tags,
        config={
            **plain_config(config),
            "choices": chosen_options(),
            "facts": {name.split("/")[1]: value for name, value in facts.items()},
        },
        resumed_step=None if config.resume is None else position.step,
        is_evaluated=position.evaluated_step == position.step,
    )


def _job_type(config: TrainConfig) -> str:
    """What kind of a job it is, for W&B: `pretrain` a biLM, or `fine-tune` one for a task."""
    from elmo.registry import REGISTRY
    from tasks.task import ContinuingTask

    is_pretraining = isinstance(REGISTRY.build("task", config.task), ContinuingTask)
    return "pretrain" if is_pretraining else "fine-tune"


@contextmanager
def _told_how_to_go_on(trainer: Trainer, run: RunDirectory) -> Iterator[None]:
    """Say how to go on when the run is stopped."""
    try:
        yield
    except KeyboardInterrupt:
        print(
            f"stopped by {trainer.stop.reason or 'SIGINT'} after step {trainer.position.step:,};"
            f" resume={run.path} goes on; experiments.evaluate run={run.path} checkpoint=last makes a model",
            file=sys.stderr,
        )
        raise


def _train(
    config: TrainConfig,
    trainer: Trainer,
    logger: RunLogger,
    adjust_threads: Callable[[], object],
    judge: Judge,
    profile_path: Path | None,
) -> dict[str, float]:
    """Run the trainer with a progress display, and print the scores of every evaluation."""
    import torch

    from experiments.logging.evaluations import print_scores
    from experiments.logging.progress import make_progress
    from experiments.profiling.trace import traced_steps

    def log(step: int, values: Mapping[str, float]) -> None:
        logger.log(step, {**values, "num_threads": torch.get_num_threads()})
        if trainer.metric in values:
            epochs = position.units / trainer.training.units_per_epoch
            print_scores(step, epochs, position.last_scores, is_best=position.best_step == step)
            if trainer.ended_by() is None and not judge(step, values[trainer.metric]):
                trainer.stop.request("its pruner")

    position = trainer.position
    with make_progress(
        config.logger.progress.value,
        title="training",
        unit=trainer.training.unit,
        start_tokens=position.units,
        start_fraction=trainer.progress() if position.step else 0.0,
        clock=trainer.training_seconds,
    ) as progress:

        def show(step: int, units: int, loss: float, fraction: float) -> None:
            progress.update(fraction=fraction, tokens=units, step=step, loss=loss)
            adjust_threads()
            trace_after_step()

        with traced_steps(trainer, profile_path) as trace_after_step:
            return trainer.run(show=show, log=log)


def _figures_of_end(trainer: Trainer, run: RunDirectory) -> dict[str, Any] | None:
    """The figures of a run that has come to its end, which is said; None: something is left to do."""
    figures = run.figures_of(trainer.position.step) if trainer.is_concluded() else None
    if figures is not None:
        print(
            f"resume={run.path}: nothing is left to do, {trainer.ended_by()} ended it after step"
            f" {trainer.position.step:,}; a limit above it, such as trainer.max_epochs=..., goes on;"
            f" its model is {run.model_path}"
        )
    return figures


def _figures(trainer: Trainer, scores: Mapping[str, float]) -> dict[str, float]:
    """The final figures of a run, of which `scores` are those on dev."""
    from experiments.io.environment import peak_accelerator_memory_bytes, peak_memory_bytes

    unit, position = trainer.training.unit, trainer.position
    figures: dict[str, float] = {
        **scores,
        **trainer.training.reports.conclude(),
        f"train/{unit}_per_second": trainer.units_per_second(),
        f"train/{unit}": position.units,
        "train/steps": position.step,
        "train/best_step": position.best_step,
        "seconds": position.seconds,
        "peak_memory_bytes": peak_memory_bytes(),
    }
    if trainer.device.type == "cuda":
        figures["peak_accelerator_memory_bytes"] = peak_accelerator_memory_bytes()
    return figures


def _finish(
    config: TrainConfig,
    trainer: Trainer,
    run: RunDirectory,
    logger: RunLogger,
    *,
    facts: Mapping[str, float],
    scores: Mapping[str, float],
) -> dict[str, Any]:
    """Write the model, the final figures and the reports, and print the figures, which are returned."""
    from experiments.config.initial import figures_of_initial
    from experiments.logging.curves import draw_curves
    from experiments.logging.report import print_end, print_figures

    reports = trainer.training.reports
    if run.model_path.exists():
        shutil.rmtree(run.model_path)  # of a finished run that was resumed for longer
    try:
        reports.save_model(run.model_path)
    except InputError as error:  # the disk is full; all that was learned is in the last checkpoint
        raise InputError(f"{error}; then resume={run.path} writes it") from error
    figures = {**facts, **figures_of_initial(config.init_from), **_figures(trainer, scores)}
    reports.write_reports(run.path)
    if config.logger.curves:
        draw_curves(run.plots_path / "curves.png", run.metrics_log_path, metric=trainer.metric)
    logger.show_tables(reports.tables())
    logger.show_pictures(run.plots_path)
    logger.keep_model(run.model_path)
    logger.summarize(figures)  # the last file: a run that has it is complete
    print_figures(reports.table(figures), figures)
    print_end(trainer, run.model_path)
    print(run.path)
    return figures


def run_job(arguments: Sequence[str]) -> int:
    """A job of a sweep, in a process of its own: the exit code."""
    return run_command(main, config_name="train", arguments=arguments)


def command(arguments: Sequence[str] | None = None) -> int:
    """`elmo-train`, which is `python -m experiments.train`: the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        place = place_of_process()
    except InputError as error:
        return refuse(str(error))
    if place.rank:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - to the end of the process
        logging.disable(logging.WARNING)
    if asks_for_sweep(given) and not place.is_alone:
        leave_word_to_first()
        return refuse("--multirun: a sweep starts its own processes; start it without torchrun")
    if asks_for_sweep(given):
        from experiments.sweep.command import run_sweep

        return run_sweep(given, run=run_job)
    return run_job(given)


if __name__ == "__main__":
    # The jobs of a sweep are other processes: they import the training by this name.
    from experiments.train import command as command_of_module

    sys.exit(command_of_module())
