"""Runs one job from Python: composed and checked as a command's, with Hydra's global state put back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.version import VersionBase
from omegaconf import DictConfig, open_dict

from elmo.errors import InputError
from experiments.config.command import CONF_PATH, checked
from experiments.config.compose import command_line_faults

Result = TypeVar("Result")


def run_job(
    job: Callable[[Any, list[str]], Result],
    *,
    config_name: str,
    overrides: Sequence[str],
    config_dir: str | Path | None = None,
) -> Result:
    """The result of `job(config, overrides)`, its arguments as those of a command's `main` (`run_command`).

    Args:
        config_name: the root in conf/, without .yaml.
        overrides: of one job.
        config_dir: a directory of config files of the user's own.

    Raises:
        InputError: every fault of the overrides, a line each, and what `job` raises.
    """
    given = [str(text) for text in overrides]
    for text in given:
        if text.startswith("-"):
            raise InputError(f"{text}: an option of the command line; give group=option or key=value")
    if config_dir is not None:
        if not Path(config_dir).is_dir():
            raise InputError(f"config_dir: no directory {config_dir}")
        given.append(f"hydra.searchpath=[file://{Path(config_dir).resolve()}]")
    threads = torch.get_num_threads()
    try:
        with _own_hydra():
            cfg = _compose(config_name, given)
            return job(checked(cfg), list(HydraConfig.get().overrides.task))
    finally:
        torch.set_num_threads(threads)


def _compose(config_name: str, overrides: list[str]) -> DictConfig:
    """The job's config; its Hydra part goes where a command's job has it. InputError for all faults."""
    faults = command_line_faults(config_name, overrides, is_multirun=False)
    if faults:
        raise InputError("\n".join(faults))
    cfg = compose(config_name, overrides=overrides, return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg


@contextmanager
def _own_hydra() -> Iterator[None]:
    """Hydra on our conf/; what the caller has set up in it is put back."""
    hydra, config = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
    base = VersionBase.instance().version_base
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF_PATH), version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra, HydraConfig.instance().cfg = hydra, config
        VersionBase.instance().version_base = base
