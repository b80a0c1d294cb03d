"""Runs one job from Python: composed and checked as a command's, with Hydra's global state put back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.version import VersionBase
from omegaconf import DictConfig, open_dict

from elmo.errors import InputError
from experiments.config.arguments import read_arguments
from experiments.config.command import CONF_PATH, checked
from experiments.config.compose import command_line_faults, one_line, search_path
from experiments.config.root import choose_root, with_plugins_of_run

Result = TypeVar("Result")


def run_job(job: Callable[[Any, list[str]], Result], *, config_name: str, arguments: Sequence[str]) -> Result:
    """The result of `job(config, overrides)`, its arguments as those of a command's `main` (`run_command`).

    Args:
        config_name: the root in conf/, without .yaml.
        arguments: overrides of one job, `--config-dir`, and `--config-path` with `--config-name` of a run's
            config.

    Raises:
        InputError: every fault of the arguments, a line each, and what `job` raises.
    """
    given = with_plugins_of_run(read_arguments([str(argument) for argument in arguments]))
    parsed = given.parsed
    if given.only_explains or given.is_multirun or parsed.cfg:
        raise InputError(f"{' '.join(given.options)}: belongs to the command line; this is a single run")
    threads = torch.get_num_threads()
    try:
        with _restored_hydra(), search_path(CONF_PATH, parsed.config_dir):
            root = choose_root(config_name, given.overrides, parsed)
            if root == config_name and (parsed.config_path or parsed.config_name):
                raise InputError(f"{' '.join(given.options)}: not the config of a run")
            cfg = _compose(root, given.overrides)
            return job(checked(cfg), list(HydraConfig.get().overrides.task))
    finally:
        torch.set_num_threads(threads)


def _compose(config_name: str, overrides: list[str]) -> DictConfig:
    """The job's config; its Hydra part goes where a command's job has it. InputError for all faults."""
    try:
        faults = command_line_faults(config_name, overrides, is_multirun=False)
        if faults:
            raise InputError("\n".join(faults))
        cfg = compose(config_name, overrides=overrides, return_hydra_config=True)
    except HydraException as error:  # of a saved config of another version
        raise InputError(one_line(error, config_name)) from error
    HydraConfig.instance().set_config(cfg)
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg


@contextmanager
def _restored_hydra() -> Iterator[None]:
    """Puts back what the caller has set up in Hydra."""
    hydra, config = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
    base = VersionBase.instance().version_base
    try:
        yield
    finally:
        GlobalHydra.instance().hydra, HydraConfig.instance().cfg = hydra, config
        VersionBase.instance().version_base = base
