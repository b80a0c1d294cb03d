"""The model of a checkpoint, also of a run that was stopped: made once, in the checkpoint's directory."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from elmo.device import choose_device
from elmo.errors import InputError
from elmo.files import written_once
from experiments.config.build import make_trainer, start_training
from experiments.config.check import check_config
from experiments.config.save import read_saved
from experiments.config.schema import TrainConfig
from experiments.config.sections import InferenceConfig
from experiments.io.run_directory import RunDirectory
from experiments.logging.report import write_figures
from experiments.training.stop import Stop
from experiments.training.trainer import Trainer


def model_of_checkpoint(path: Path, config: TrainConfig | InferenceConfig) -> None:
    """Write the model of a checkpoint, unless it is there: `path` is then like a run's directory.

    It has `model/`, and `metrics.json` with the model's scores on dev.

    Args:
        path: the checkpoint's directory, or a link that stands for it.
        config: of the command, which names plug-ins, cache, device and display.

    Raises:
        InputError: the checkpoint is damaged, or the data of its run is not there any more.
    """
    path = path.resolve()  # a link may soon stand for another one
    made = RunDirectory(path)
    if made.metrics_path.exists():
        return
    with written_once(made.model_path):
        if made.metrics_path.exists():  # another process may have made it meanwhile
            return
        trainer = _trainer_at(path, config)
        if not made.model_path.exists():
            trainer.training.reports.save_model(made.model_path)
        write_figures(made.metrics_path, {**trainer.scores(), "train/steps": trainer.position.step})
    print(f"the model of step {trainer.position.step:,} is in {made.model_path}")


def _trainer_at(path: Path, config: TrainConfig | InferenceConfig) -> Trainer:
    """The trainer of a run as it was when it saved a checkpoint."""
    device = choose_device(config.trainer.device if isinstance(config, TrainConfig) else config.device)
    run = RunDirectory(path.parent.parent)
    saved = _training_config(run, config)
    trainer = make_trainer(saved, start_training(saved, device), run.checkpoints_path, Stop())
    trainer.load_state_dict(trainer.checkpoints.load(path.name))
    return trainer


def _training_config(run: RunDirectory, config: TrainConfig | InferenceConfig) -> TrainConfig:
    """The config of the run's training; plug-ins, the cache and the display are those of the command."""
    try:
        saved = OmegaConf.merge(OmegaConf.structured(TrainConfig), read_saved(run.config_path).values)
    except OmegaConfBaseException as error:
        raise InputError(
            f"{run.config_path}: not the config of a training ({str(error).splitlines()[0]})"
        ) from error
    assert isinstance(saved, DictConfig)
    saved.plugins, saved.cache_dir = config.plugins, getattr(config, "cache_dir", saved.cache_dir)
    saved.logger.progress = config.progress if isinstance(config, InferenceConfig) else config.logger.progress
    checked: TrainConfig = check_config(saved)
    return checked
