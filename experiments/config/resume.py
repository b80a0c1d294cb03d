"""The place of a run: a new directory of its own, or that of the run that it goes on with."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from elmo.errors import InputError, shown
from experiments.config.root import AUTO
from experiments.config.save import (
    OF_ONE_START,
    SavedConfig,
    chosen_options,
    plain_config,
    read_overrides,
    read_saved,
    with_absolute_paths,
)
from experiments.config.schema import TrainConfig
from experiments.io.run_directory import RunDirectory, claim_directory, is_in_use

RUNS = Path("runs")
# What may be another on resuming; everything else decides shapes or what a checkpoint's state means. The
# files of the data may have moved: their content is checked when they are read.
FREE_KEYS = (
    "trainer.",
    "logger.",
    "schedule.",
    "cache_dir",
    "plugins",
    "data.train",
    "data.dev",
    "data.test",
)
FIXED_KEYS = ("trainer.batch_size", "schedule.type")
FREE_GROUPS = ("logger",)


def is_resumed(config: TrainConfig) -> bool:
    """Whether the command names the run that it goes on with, so that its values are that run's."""
    return config.resume not in (None, AUTO)


def place_run(config: TrainConfig, overrides: Sequence[str]) -> TrainConfig:
    """The config with the directory of the run, whose `resume` says whether it goes on; creates a new one.

    With `resume=auto`, the run goes on that has the command's output_dir or name, or, if the command gives
    neither, the newest one in `runs/` that began with the same overrides and is not in use. If there is none
    with a checkpoint, the run begins anew; a line says which was done.

    Raises:
        InputError: the run that goes on has other values than the command, or cannot be read, or no directory
            can be created.
    """
    if config.resume == AUTO:
        found = _own_run(config, overrides)
        if found is not None:
            config = dataclasses.replace(config, resume=str(found), name=None)
            print(f"resume=auto: goes on with {found}")
        else:
            config = _with_new_directory(dataclasses.replace(config, resume=None))
            print(f"resume=auto: no checkpoint of this command's run; begins anew in {config.output_dir}")
    if config.resume is None:
        return _with_new_directory(config)
    _refuse_other_values(config, RunDirectory(Path(config.resume)))
    return dataclasses.replace(config, output_dir=config.resume)


def _with_new_directory(config: TrainConfig) -> TrainConfig:
    if config.output_dir is not None:
        return config
    return dataclasses.replace(config, output_dir=str(claim_directory(RUNS / str(config.name))))


def _own_run(config: TrainConfig, overrides: Sequence[str]) -> Path | None:
    if config.output_dir is not None:
        run = RunDirectory(Path(config.output_dir))
        return run.path if run.has_checkpoint() else None
    runs = [RunDirectory(path) for path in RUNS.glob("*")]
    started = [run for run in runs if run.has_checkpoint() and run.overrides_path.is_file()]
    started.sort(key=lambda run: run.overrides_path.stat().st_mtime_ns, reverse=True)
    wanted = _without_resume(overrides)
    own = (run.path for run in started if _without_resume(read_overrides(run.overrides_path)) == wanted)
    return next((path for path in own if not is_in_use(path)), None)


def _without_resume(overrides: Sequence[str]) -> list[str]:
    return [text for text in overrides if not text.startswith("resume=")]


def _refuse_other_values(config: TrainConfig, run: RunDirectory) -> None:
    try:
        saved = read_saved(run.config_path)
        known = OmegaConf.merge(OmegaConf.structured(TrainConfig), saved.values)
    except (InputError, OmegaConfBaseException) as error:
        raise InputError(f"resume={run.path}: no readable config.yaml of a run ({error})") from error
    before: Any = OmegaConf.to_container(known, enum_to_str=True)
    faults = [*_other_places(config, run), *_other_choices(saved, run)]
    groups = tuple(f"{fault.split(':')[0]}." for fault in faults)
    now = with_absolute_paths(plain_config(config))
    for key, value in _differences(with_absolute_paths(before), now, ""):
        is_free = key.startswith(FREE_KEYS) and key not in FIXED_KEYS
        if not is_free and key not in OF_ONE_START and not key.startswith(groups):
            faults.append(_fault(key, value))
    if faults:
        raise InputError("\n".join(sorted(faults)))


def _other_places(config: TrainConfig, run: RunDirectory) -> Iterator[str]:
    if config.output_dir is not None and Path(config.output_dir).resolve() != run.path.resolve():
        yield _fault("output_dir", str(run.path))
    if config.name is not None and config.name != run.path.resolve().name:
        yield _fault("name", run.path.resolve().name)


def _other_choices(saved: SavedConfig, run: RunDirectory) -> Iterator[str]:
    """Options of groups that are not those that the run began with."""
    chosen = chosen_options()
    for group, option in (saved.choices or {}).items():
        if chosen.get(group) not in (None, option) and group not in FREE_GROUPS:
            yield _fault(group, option)
    experiment = HydraConfig.get().runtime.choices.get("experiment")
    given = read_overrides(run.overrides_path)
    if experiment is not None and f"experiment={experiment}" not in given:
        own = [text.partition("=")[2] for text in given if text.startswith("experiment=")]
        yield _fault("experiment", *(own or ["none"]))


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], where: str) -> Iterator[tuple[str, Any]]:
    """The keys whose values differ, with the former ones; a key that is new has its default value."""
    for key, value in before.items():
        if isinstance(value, Mapping) and isinstance(now.get(key), Mapping):
            yield from _differences(value, now[key], f"{where}{key}.")
        elif now.get(key) != value:
            yield f"{where}{key}", value


def _fault(key: str, own: Any) -> str:
    return (
        f"{key}: a resumed run keeps its own ({shown(own, str)}); new values can be given for trainer.*,"
        " logger.*, schedule.* and the place of the data"
    )
