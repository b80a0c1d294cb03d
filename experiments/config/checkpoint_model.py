"""A model directory made of a checkpoint, also of a run that was stopped."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from elmo.errors import InputError
from experiments.config.build import make_trainer, start_training
from experiments.config.check import check_config
from experiments.config.save import read_saved
from experiments.config.schema import EvaluateConfig, TrainConfig
from experiments.io.run_directory import RunDirectory
from experiments.training.stop import Stop


def model_of_checkpoint(config: EvaluateConfig, device: torch.device) -> Path:
    """Write the model of `config.checkpoint` beside that of the run, `model-step-NNNNNNN`; returns its path.

    Raises:
        InputError: there is no such run or checkpoint, it is damaged, or its data is not there any more.
    """
    assert config.checkpoint is not None
    run = RunDirectory(Path(config.run))
    saved = _training_config(config, run)
    training = start_training(saved, device)
    trainer = make_trainer(saved, training, run.checkpoints_path, Stop())
    which = config.checkpoint
    trainer.load_state_dict(
        trainer.checkpoints.load(f"step-{int(which):07d}" if which.isdecimal() else which)
    )
    path = run.path / f"model-step-{trainer.position.step:07d}"
    if path.exists():
        shutil.rmtree(path)  # of an earlier call; a run that was resumed may have come to this step anew
    training.reports.save_model(path)
    print(f"the model of step {trainer.position.step:,} is in {path}")
    return path


def _training_config(config: EvaluateConfig, run: RunDirectory) -> TrainConfig:
    """The config of the run's training; plug-ins, the cache and the display are those of the command."""
    try:
        saved = OmegaConf.merge(OmegaConf.structured(TrainConfig), read_saved(run.config_path).values)
    except OmegaConfBaseException as error:
        raise InputError(
            f"{run.config_path}: not the config of a training ({str(error).splitlines()[0]})"
        ) from error
    assert isinstance(saved, DictConfig)
    saved.plugins, saved.cache_dir, saved.logger.progress = config.plugins, config.cache_dir, config.progress
    checked: TrainConfig = check_config(saved)
    return checked
