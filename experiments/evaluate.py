"""Score a finished run, or any model directory: `python -m experiments.evaluate run=DIR [data=...]`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from elmo.errors import InputError
from experiments.config.command import run_command
from experiments.config.schema import EvaluateConfig


def main(config: EvaluateConfig, overrides: list[str]) -> None:
    """Print the figures of the run's model on its own test data, or on that of `data`."""
    from elmo.device import choose_device
    from elmo.io.model_directory import read_model
    from elmo.registry import REGISTRY
    from experiments.config.checkpoint_model import model_of_checkpoint
    from experiments.io.run_directory import RunDirectory
    from experiments.logging.evaluations import Evaluations
    from experiments.logging.progress import make_progress, summary_table
    from experiments.logging.report import write_figures
    from experiments.training.process import set_up_process
    from experiments.training.saving.checkpoint import Checkpoints
    from experiments.training.stop import Stop
    from experiments.training.threads import watch_threads
    from tasks.task import Setup

    device = choose_device(config.device)
    set_up_process(num_threads=config.num_threads, device=device)
    adjust_threads = watch_threads(num_threads=config.num_threads, device=device)
    path = Path(config.run)
    if config.checkpoint is not None:
        which = f"step-{int(config.checkpoint):07d}" if config.checkpoint.isdecimal() else config.checkpoint
        path = Checkpoints(RunDirectory(path).checkpoints_path, keep=1).find(which)
        model_of_checkpoint(path, config)
    if not (path / "model").exists() and (path / "checkpoints" / "last").exists():
        raise InputError(f"{path}: the run has no model yet; checkpoint=last makes one of what it has saved")
    saved = read_model(path)
    values: dict[str, Any] = _own_values(path) if config.data is None else {"data": config.data, "seed": 0}
    with (
        Evaluations(config.progress.value, Stop(), adjust_threads=adjust_threads) as evaluations,
        make_progress(config.progress.value, title="preparing") as progress,
    ):
        setup = Setup(
            nodes={**saved.config, "data": values["data"]},
            vocabulary={},
            batch_size=config.batch_size or saved.config["batch_size"],
            seed=values["seed"],  # with data.fraction, of the baselines' training text
            device=device,
            cache_path=Path(config.cache_dir),
            report=lambda tokens, sentences, fraction: progress.update(
                fraction=fraction or 0.0, tokens=tokens, sentences=sentences
            ),
            tell=evaluations.tell,
        )
        task = REGISTRY.build("task", saved.config["task"])
        figures = task.evaluate(saved, setup, with_baselines=config.data is None, name=str(path))
    columns, rows = task.table(figures)
    summary_table(rows, columns=columns)
    if config.output is not None:
        write_figures(Path(config.output), figures)


def _own_values(path: Path) -> dict[str, Any]:
    """The config's values of the run that `path` is, or whose model directory it is."""
    from experiments.config.save import find_saved, read_saved

    saved_path = find_saved(path)
    if saved_path is None:
        raise InputError(
            f"{path}: a model without its run's config.yaml; name the data: data=text data.test=FILE"
        )
    return {"data": None, "seed": 0, **read_saved(saved_path).values}


def command() -> int:
    """`elmo-evaluate`, which is `python -m experiments.evaluate`: the exit code."""
    return run_command(main, config_name="evaluate")


if __name__ == "__main__":
    sys.exit(command())
