"""Checks every job of a sweep before the first one starts, and says what its launch adds to it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from elmo.errors import InputError
from experiments.config.check import config_faults
from experiments.config.compose import COMPOSE_ERRORS, composed, job_faults
from experiments.config.root import choose_root
from experiments.sweep.engine import Job
from experiments.sweep.launchers.launcher import Launcher
from experiments.sweep.overrides import key_of, value_text

_NOT_OF_JOBS = ("name", "output_dir", "resume", "dry_run")


class _Known(NamedTuple):
    """Faults of a job, and those of its overrides that they are about."""

    overrides: list[str]
    faults: list[str]


def check_jobs(jobs: Sequence[Job], *, parsed: Any, launcher: Launcher, group: str) -> None:
    """Compose and check every job, and add its config and what its launch gives it: threads, and the sweep
    as its group.

    Args:
        jobs: of the sweep; their `config` and `settings` are filled in.
        parsed: the values of Hydra's own options, which the jobs get, too. Hydra must be initialized.
        launcher: of the jobs.
        group: of their runs at Weights & Biases.

    Raises:
        InputError: a line for each fault, with the first job that has it.
    """
    found: dict[str, list[str]] = {}
    known: list[_Known] = []
    for job in jobs:
        overrides = job.record.overrides
        faults = [
            f"{key}: a sweep gives it to its jobs; leave it out"
            for key in map(key_of, overrides)
            if key in _NOT_OF_JOBS
        ]
        root = choose_root("train", overrides, parsed)
        try:
            config = composed(root, overrides)
            faults += config_faults(config)
            job.config, job.settings = config, [] if faults else list(_settings(config, launcher, group))
        except COMPOSE_ERRORS:
            faults += _composition_faults(root, overrides, known)
        for fault in faults:
            found.setdefault(fault, []).append(job.record.name)
    if found:
        raise InputError("\n".join(_labelled(fault, names, len(jobs)) for fault, names in found.items()))


def _composition_faults(root: str, overrides: Sequence[str], known: list[_Known]) -> list[str]:
    """The faults of a job that does not compose; those of an earlier one that has the same wrong values.

    To take a command line apart lasts seconds, and a fault of the base is in all jobs.
    """
    for earlier in known:
        if set(earlier.overrides) <= set(overrides):
            return earlier.faults
    faults = job_faults(root, overrides)
    keys = {fault.split(":")[0] for fault in faults}
    known.append(_Known([text for text in overrides if key_of(text) in keys], faults))
    return faults


def _settings(config: Any, launcher: Launcher, group: str) -> Iterator[str]:
    threads = launcher.num_threads()
    if config.trainer.num_threads is None and threads is not None:
        yield f"trainer.num_threads={threads}"
    if config.logger.group is None and not os.environ.get("WANDB_RUN_GROUP"):
        yield f"logger.group={value_text(group)}"


def _labelled(fault: str, names: Sequence[str], num_jobs: int) -> str:
    if len(names) == num_jobs:
        return fault
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{fault} (in {names[0]}{more})"
