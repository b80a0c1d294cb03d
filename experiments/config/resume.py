"""The config of a resumed run: the saved one, with the few values that may be overridden."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from elmo.errors import InputError
from experiments.config.check import check_config
from experiments.config.schema import TrainConfig
from experiments.io.run_directory import RunDirectory

# What may be overridden on resuming; everything else decides shapes or what a checkpoint's state means.
FREE_KEYS = ("trainer.", "logger.", "schedule.", "cache_dir", "plugins", "resume")
FIXED_KEYS = ("trainer.batch_size", "schedule.type")


def resumed_config(config: TrainConfig, overrides: Sequence[str]) -> TrainConfig:
    """The saved config of `config.resume` with the command line's values; the run's directory stays the same.

    Raises:
        InputError: there is no run, or an override would change what its state fits.
    """
    assert config.resume is not None
    run = RunDirectory(Path(config.resume))
    try:
        saved = OmegaConf.merge(OmegaConf.structured(TrainConfig), OmegaConf.load(run.config_path))
    except (OSError, OmegaConfBaseException) as error:
        raise InputError(f"resume={run.path}: no readable config.yaml of a run ({error})") from error
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key = override.key_or_group
        if key in FIXED_KEYS or not key.startswith(FREE_KEYS):
            free = ", ".join(f"{key}..." for key in FREE_KEYS[:3])
            raise InputError(f"{key}: a resumed run keeps its own; new values can be given for {free}")
        OmegaConf.update(saved, key, override.value())
    saved.resume, saved.output_dir = None, config.resume
    assert isinstance(saved, DictConfig)
    resumed = check_config(saved)
    assert isinstance(resumed, TrainConfig)
    resumed.resume = config.resume  # only now: the command line may not give it beside the saved init_from
    return resumed
