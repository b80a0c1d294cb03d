"""Finished runs of other sweeps that are the same as jobs of this one: they are taken, not run again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from elmo.errors import InputError
from elmo.files import atomic_directory
from experiments.config.check import check_config
from experiments.config.resume import OF_NO_MATTER
from experiments.config.save import OF_ONE_START, plain_config, with_absolute_paths
from experiments.io.environment import describe_git
from experiments.io.run_record import RunRecord, flatten, read_run
from experiments.records.input_files import digest_inputs
from experiments.sweep.engine import Job
from experiments.sweep.record import read_sweep


class Taken(NamedTuple):
    """A run that stands for a job."""

    job: Job
    run: RunRecord


def take_equal_runs(jobs: Iterable[Job], sweeps: Sequence[str]) -> Iterator[Taken]:
    """Give each job that has not begun the finished run of the same config and files, if there is one.

    Configs are the same if all values are equal that decide a figure by more than rounding, the seed among
    them. The run is copied, its weights as hard links where the file system has them.

    Args:
        jobs: checked, so that they have their configs.
        sweeps: the directories of the sweeps.

    Raises:
        InputError: a directory is no sweep.
    """
    runs = {
        _identity(run.config, run.starts[-1].get("files") or {}): run
        for path in sweeps
        for run in _finished_runs(Path(path))
    }
    for job in jobs:
        if job.config is None or job.path.exists():
            continue  # it has begun
        config = plain_config(check_config(job.config))
        files = digest_inputs(config, cache_path=Path(config["cache_dir"]))
        run = runs.get(_identity(config, files))
        if run is not None:
            _copy(run.path, job.path)
            job.read()
            yield Taken(job, run)


def notice(taken: Sequence[Taken]) -> str:
    """What is said of runs that were taken, and of those among them that other code has made."""
    places = dict.fromkeys(str(entry.run.path) for entry in taken)
    text = f"{len(taken)} jobs are runs of other sweeps, such as {next(iter(places))}"
    commit = (describe_git() or {}).get("commit")
    others = [entry for entry in taken if _commit(entry.run) != commit]
    if not others:
        return text
    return f"{text}; {len(others)} of them are of another commit, such as {_commit(others[0].run)}"


def _finished_runs(path: Path) -> Iterator[RunRecord]:
    for job in read_sweep(path).jobs:
        try:
            run = read_run(path / job.name)
        except InputError:
            continue  # it has not begun, or is damaged
        if run.state == "finished" and run.starts:
            yield run


def _identity(config: Mapping[str, Any], files: Mapping[str, Mapping[str, str]]) -> str:
    """A text that runs have in common which are the same; the files' content stands for their places."""
    values = {**flatten(with_absolute_paths(config)), **files}
    kept = {
        key: value
        for key, value in values.items()
        if key not in OF_ONE_START and not key.startswith(OF_NO_MATTER)
    }
    return json.dumps(kept, sort_keys=True)


def _commit(run: RunRecord) -> Any:
    return (run.starts[-1].get("git") or {}).get("commit")


def _copy(path: Path, place: Path) -> None:
    """Make `place` a copy of the run `path`, whole or not at all, that shares its weights' bytes."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with atomic_directory(place) as aside:
        shutil.copytree(
            path,
            aside,
            symlinks=True,  # such as checkpoints/last
            ignore=shutil.ignore_patterns("wandb"),  # its id is the other run's
            copy_function=_link_or_copy,
            dirs_exist_ok=True,
        )


def _link_or_copy(source: str, target: str) -> None:
    # Weights are only ever replaced; a run that goes on writes into others, such as its log and its lock.
    if source.endswith(".safetensors"):
        with suppress(OSError):
            os.link(source, target)
            return
    shutil.copy2(source, target)
