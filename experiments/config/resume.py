"""The place of a run: a new directory of its own, or that of the run that it goes on with."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

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
    "profile",
    "data.train",
    "data.dev",
    "data.test",
)
FIXED_KEYS = ("trainer.batch_size", "schedule.type")
FREE_GROUPS = ("logger",)
# What makes no other run of a config: where it is computed, and what is shown and saved of it.
OF_NO_MATTER = (
    "logger",
    "cache_dir",
    "plugins",
    "profile",
    "trainer.device",
    "trainer.num_threads",
    "trainer.process_timeout_seconds",
    "trainer.save_every",
    "trainer.keep_checkpoints",
    "trainer.check_memory",
)
_KEEPS = (
    "new values can be given for trainer.* (but batch_size), logger.*, schedule.* (but type) and the place of"
    " the data"
)


class _Other(NamedTuple):
    """A key whose value is not the run's own."""

    key: str
    own: Any

    def fault(self) -> str:
        return f"{self.key}: a resumed run keeps its own ({shown(self.own, str)}); {_KEEPS}"

    def is_free(self) -> bool:
        """Whether a run goes on with another value."""
        return self.key in FREE_GROUPS or (self.key.startswith(FREE_KEYS) and self.key not in FIXED_KEYS)

    def matters(self) -> bool:
        """Whether it makes another run, seeds and limits included."""
        return not self.key.startswith(OF_NO_MATTER)


def is_resumed(config: TrainConfig) -> bool:
    """Whether the command names the run that it goes on with, so that its values are that run's."""
    return config.resume not in (None, AUTO)


def place_run(config: TrainConfig) -> TrainConfig:
    """The config with the directory of the run, whose `resume` says whether it goes on; creates a new one.

    With `resume=auto`, the run goes on that has the command's output_dir or name, or, if the command gives
    neither, the newest one in `runs/` that has the same config, whatever its name, and is not in use. If
    there is none with a checkpoint, the run begins anew; a line says which was done.

    Raises:
        InputError: the run that goes on has other values than the command, or cannot be read, or no directory
            can be created.
    """
    if config.resume == AUTO:
        found, said = _named_run(config) if config.output_dir is not None else _newest_run(config)
        if found is not None:
            config = dataclasses.replace(config, resume=str(found), name=None)
            print(f"resume=auto: goes on with {found}{said}")
        else:
            config = _with_new_directory(dataclasses.replace(config, resume=None))
            print(f"resume=auto: {said}; begins anew in {config.output_dir}")
    if config.resume is None:
        return _with_new_directory(config)
    _refuse_other_values(config, RunDirectory(Path(config.resume)))
    return dataclasses.replace(config, output_dir=config.resume)


def _with_new_directory(config: TrainConfig) -> TrainConfig:
    if config.output_dir is not None:
        return config
    return dataclasses.replace(config, output_dir=str(claim_directory(RUNS / str(config.name))))


def _named_run(config: TrainConfig) -> tuple[Path | None, str]:
    """The run that the command names, if it has a checkpoint, and what is said if it has none."""
    run = RunDirectory(Path(str(config.output_dir)))
    return (run.path, "") if run.has_checkpoint() else (None, "no checkpoint of this command's run")


def _newest_run(config: TrainConfig) -> tuple[Path | None, str]:
    """The newest run of the config that is not in use, and what is said of the choice."""
    near = ""
    for run in _newest_first():
        try:
            others = [*_other_choices(read_saved(run.config_path), run), *_other_values(config, run)]
        except InputError:
            continue
        unlike = ", ".join(other.key for other in others if other.matters())
        if not unlike and not is_in_use(run.path):
            told = ", ".join(f"{other.key} was {shown(other.own, str)}" for other in others)
            return run.path, f" ({told})" if told else ""
        if not near and all(other.is_free() for other in others):
            reason = f"differs in {unlike}, and resume={run.path} takes it" if unlike else "is in use"
            near = f" ({run.path} {reason})"
    return None, f"no checkpoint of a run of this config in {RUNS}{near}"


def _newest_first() -> list[RunDirectory]:
    runs = [RunDirectory(path) for path in RUNS.glob("*")]
    begun = [
        (run.overrides_path.stat().st_mtime_ns, str(run.path), run)
        for run in runs
        if run.has_checkpoint() and run.overrides_path.is_file()
    ]
    return [run for _, _, run in sorted(begun, key=lambda entry: entry[:2], reverse=True)]


def _refuse_other_values(config: TrainConfig, run: RunDirectory) -> None:
    values = _other_values(config, run)
    others = [*_other_places(config, run), *_other_choices(read_saved(run.config_path), run)]
    groups = tuple(f"{other.key}." for other in others)
    others += [other for other in values if not other.key.startswith(groups)]
    faults = [other.fault() for other in others if not other.is_free()]
    if faults:
        raise InputError("\n".join(sorted(faults)))


def _other_values(config: TrainConfig, run: RunDirectory) -> list[_Other]:
    """The keys whose values are not those of the run, but for those of one start."""
    try:
        saved = read_saved(run.config_path)
        known = OmegaConf.merge(OmegaConf.structured(TrainConfig), saved.values)
    except (InputError, OmegaConfBaseException) as error:
        raise InputError(f"resume={run.path}: no readable config.yaml of a run ({error})") from error
    before: Any = OmegaConf.to_container(known, enum_to_str=True)
    now = with_absolute_paths(plain_config(config))
    others = _differences(with_absolute_paths(before), now, "")
    return [other for other in others if other.key not in OF_ONE_START]


def _other_places(config: TrainConfig, run: RunDirectory) -> Iterator[_Other]:
    if config.output_dir is not None and Path(config.output_dir).resolve() != run.path.resolve():
        yield _Other("output_dir", str(run.path))
    if config.name is not None and config.name != run.path.resolve().name:
        yield _Other("name", run.path.resolve().name)


def _other_choices(saved: SavedConfig, run: RunDirectory) -> Iterator[_Other]:
    """Options of groups that are not those that the run began with."""
    chosen = chosen_options()
    for group, option in (saved.choices or {}).items():
        if chosen.get(group) not in (None, option):
            yield _Other(group, option)
    experiment = HydraConfig.get().runtime.choices.get("experiment")
    given = read_overrides(run.overrides_path)
    if experiment is not None and f"experiment={experiment}" not in given:
        own = [text.partition("=")[2] for text in given if text.startswith("experiment=")]
        yield _Other("experiment", *(own or ["none"]))


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], where: str) -> Iterator[_Other]:
    """The keys whose values differ; a key that is new has its default value."""
    for key, value in before.items():
        if isinstance(value, Mapping) and isinstance(now.get(key), Mapping):
            yield from _differences(value, now[key], f"{where}{key}.")
        elif now.get(key) != value:
            yield _Other(f"{where}{key}", value)
