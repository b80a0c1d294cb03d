"""Learning-rate range test (Smith 2017): `python -m experiments.find_lr [overrides of experiments.train]`."""

from __future__ import annotations

import csv
import dataclasses
import io
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from elmo.errors import InputError
from elmo.files import atomic_write
from experiments.config.command import run_command
from experiments.config.schema import FindLrConfig

if TYPE_CHECKING:
    import torch

    from experiments.training.learning_rate_range import Step


def main(config: FindLrConfig, overrides: list[str]) -> None:
    """Sweep the learning rate, write the table, the figures and the picture, and print the suggestion."""
    from elmo.device import choose_device
    from experiments.config.initial import with_initial_encoder
    from experiments.io.run_directory import claim_directory
    from experiments.training.learning_rate_range import figures_of
    from experiments.training.process import set_up_process

    if config.output is not None and Path(config.output).exists():
        raise InputError(f"output={config.output}: exists already; nothing is overwritten")
    config = with_initial_encoder(config, overrides)
    device = choose_device(config.trainer.device)
    set_up_process(num_threads=config.trainer.num_threads, device=device)
    steps = _sweep(_without_events(config), device)
    figures = figures_of(steps)
    default = Path("find_lr") / str(config.name)
    output = claim_directory(default) if config.output is None else Path(config.output)
    _write(output, steps, figures)
    _print(output, steps, figures)


def _without_events(config: FindLrConfig) -> FindLrConfig:
    """The config with limits and periods that are due only after the sweep."""
    later = config.num_steps + 1
    trainer = dataclasses.replace(
        config.trainer,
        max_steps=later,
        max_epochs=None,
        max_minutes=None,
        evaluate_every=later,
        save_every=later,
        save_every_minutes=None,
        log_every=later,
    )
    return dataclasses.replace(config, trainer=trainer)


def _sweep(config: FindLrConfig, device: torch.device) -> list[Step]:
    from experiments.config.build import make_trainer, start_training
    from experiments.logging.progress import make_progress
    from experiments.training.learning_rate_range import ExponentialSweep, sweep
    from experiments.training.stop import Stop

    schedule = ExponentialSweep(
        lowest=config.lowest,
        highest=config.highest,
        num_steps=config.num_steps,
        learning_rate=config.optimizer["learning_rate"],
    )
    training = start_training(config, device)
    with (
        tempfile.TemporaryDirectory() as scratch,
        make_progress(config.logger.progress.value, title="sweeping", unit=training.unit) as progress,
    ):
        trainer = make_trainer(config, training, Path(scratch), Stop())
        return sweep(
            trainer,
            schedule,
            show=lambda step: progress.update(
                fraction=step.step / config.num_steps,
                tokens=trainer.position.units,
                step=step.step,
                loss=step.loss,
            ),
        )


def _write(output: Path, steps: list[Step], figures: dict[str, float | bool]) -> None:
    from experiments.logging.report import write_figures
    from tasks.pictures import picture

    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([steps[0]._fields, *steps])
    with atomic_write(output / "learning_rates.csv") as aside:
        aside.write_text(table.getvalue(), encoding="utf-8")
    write_figures(output / "figures.json", figures)
    with picture(output / "learning_rates.png", size=(7, 4)) as figure:
        axes = figure.subplots()
        rates = [step.learning_rate for step in steps]
        axes.plot(rates, [step.loss for step in steps], color="lightsteelblue", label="loss")
        axes.plot(rates, [step.smoothed_loss for step in steps], color="tab:blue", label="smoothed")
        suggested = figures["suggested_learning_rate"]
        axes.axvline(suggested, color="tab:orange", linestyle="--", label=f"suggested: {suggested:.2g}")
        highest = max(step.smoothed_loss for step in steps)
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss in nats", ylim=(0, 1.1 * highest))
        axes.legend()


def _print(output: Path, steps: list[Step], figures: dict[str, float | bool]) -> None:
    from experiments.logging.progress import summary_table

    shown = steps[:: max(1, len(steps) // 12)]
    rows = [[f"{step.learning_rate:.2e}", f"{step.loss:.3f}", f"{step.smoothed_loss:.3f}"] for step in shown]
    summary_table(rows, columns=["learning rate", "loss", "smoothed"])
    print(
        f"\nlowest loss at {figures['learning_rate_of_lowest_loss']:.2g}, steepest fall at"
        f" {figures['learning_rate_of_steepest_fall']:.2g}, ended at {steps[-1].learning_rate:.2g}"
    )
    if figures["has_fallen"]:
        print(f"suggested: optimizer.learning_rate={figures['suggested_learning_rate']:.2g}")
    else:
        print("the loss has not fallen: try a lower value of lowest, or more steps with num_steps")
    print(output)


def command() -> int:
    """`elmo-find-lr`, which is `python -m experiments.find_lr`: the exit code."""
    return run_command(main, config_name="find_lr")


if __name__ == "__main__":
    sys.exit(command())
