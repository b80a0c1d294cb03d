"""The config of a run that goes on: its own, as saved, with the few values that the user gives anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from elmo.errors import InputError
from experiments.config import GIVEN, TrainConfig, check_config
from experiments.run_directory import RunDirectory

CHOICES = {*GIVEN, "trainer", "logger", "experiment"}  # config groups: a resumed run has made its choices


def resumed_config(config: TrainConfig, overrides: Sequence[str]) -> TrainConfig:
    """The saved config of `config.resume` with the command line's values; the run's directory stays the same.

    Raises:
        InputError: there is no run, or an override chooses a component anew.
    """
    assert config.resume is not None
    run = RunDirectory(Path(config.resume))
    try:
        saved = OmegaConf.merge(OmegaConf.structured(TrainConfig), OmegaConf.load(run.config_path))
    except (OSError, OmegaConfBaseException) as error:
        raise InputError(f"resume={run.path}: no readable config.yaml of a run ({error})") from error
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key = override.key_or_group
        if key in CHOICES:
            raise InputError(
                f"{key}: a resumed run keeps its components; only single values can be given anew"
            )
        OmegaConf.update(saved, key, override.value())
    saved.resume, saved.output_dir = config.resume, config.resume
    assert isinstance(saved, DictConfig)
    resumed = check_config(saved)
    assert isinstance(resumed, TrainConfig)
    return resumed
