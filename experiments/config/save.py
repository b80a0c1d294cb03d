"""Writes a checked config as plain values for JSON and as yaml that composes again, and reads that yaml."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml  # type: ignore[import-untyped]
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from elmo.errors import InputError
from elmo.files import atomic_write
from tasks.sources.shared.data_nodes import data_nodes
from tasks.sources.shared.split import SPLITS

OF_ONE_START = ("name", "output_dir", "resume")  # keys that a repetition has its own values for


class SavedConfig(NamedTuple):
    """The content of a yaml file that `composable` made.

    Attributes:
        values: of all keys.
        choices: the chosen option of each group; None: an earlier version did not save it.
    """

    values: dict[str, Any]
    choices: dict[str, Any] | None


def plain_config(config: Any) -> dict[str, Any]:
    """A checked config as nested dicts and lists of what JSON knows."""
    values: Any = OmegaConf.to_container(OmegaConf.create(dataclasses.asdict(config)), enum_to_str=True)
    return dict(values)


def chosen_options(choices: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The chosen option of each group of the running job, or of `choices`.

    Left out are Hydra's own groups, and options at a place of the user's choice (`data@data.parts.squad`):
    a saved config has their values.
    """
    if choices is None:
        choices = HydraConfig.get().runtime.choices if HydraConfig.initialized() else {}
    return {
        group: option
        for group, option in sorted(choices.items())
        if group != "experiment" and not group.startswith("hydra/") and "@" not in group
    }


def save_resolved(config: Any, path: Path) -> None:
    """Writes a checked config (a schema's dataclass) as yaml that composes again, from any working directory.

    Hydra reads the file as an option of the group `experiment`, and the commands as
    `--config-path DIR --config-name config`.
    """
    values = with_absolute_paths(plain_config(config))
    values.update({key: None for key in OF_ONE_START if key in values})
    _write(path, composable(OmegaConf.to_yaml(OmegaConf.create(values)), chosen_options()))


def composable(values: str, choices: Mapping[str, Any]) -> str:
    """The yaml of a whole config with the choices that it was composed from, so that it composes again."""
    defaults = [{f"override /{group}": option} for group, option in choices.items()]
    chosen = OmegaConf.to_yaml(OmegaConf.create({"defaults": defaults})) if defaults else ""
    return f"# @package _global_\n{chosen}{values}"


def read_saved(path: Path) -> SavedConfig:
    """The config in a file that `save_resolved` wrote, or `--cfg job` printed.

    Raises:
        InputError: the file cannot be read, is not YAML, or is another config file.
    """
    values = read_yaml(path)
    defaults = values.pop("defaults", None)
    return SavedConfig(values, None if defaults is None else dict(choices_in(defaults, path)))


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a config file, interpolations left; InputError if it cannot be read."""
    try:
        values: Any = OmegaConf.to_container(OmegaConf.load(path))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as a config ({_first_line(error)})") from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise InputError(f"{path}: cannot be read as a config (no mapping of keys)")
    return values


def find_saved(place: Path) -> Path | None:
    """The config.yaml of a run, or of the run whose model or checkpoint it is; None if there is none."""
    candidates = [place / "config.yaml", place.parent / "config.yaml"]
    if place.parent.name == "checkpoints":
        candidates.append(place.parent.parent / "config.yaml")
    return next((path for path in candidates if path.is_file()), None)


def save_overrides(overrides: list[str], path: Path) -> None:
    """Writes the user's overrides as a yaml list, in the order they were given."""
    _write(path, OmegaConf.to_yaml(OmegaConf.create(overrides)))


def read_overrides(path: Path) -> list[str]:
    """What `save_overrides` wrote; [] if it cannot be read."""
    try:
        return [str(override) for override in OmegaConf.load(path)]
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return []


def with_absolute_paths(values: Mapping[str, Any]) -> dict[str, Any]:
    """A training's config whose files are found from any working directory.

    Paths and globs stand in `train`, `dev` and `test` of `data` and its parts, in keys of the name `path`
    and, unless it is a published name, in `init_from`.
    """
    anchored: dict[str, Any] = {key: _anchor_paths(value) for key, value in values.items()}
    initial = anchored.get("init_from")
    for _, node in data_nodes(anchored.get("data")):
        for split in SPLITS:
            if isinstance(node, dict) and split in node:
                node[split] = _anchor(node[split])
    if isinstance(initial, str) and Path(initial).exists():
        anchored["init_from"] = _anchor(initial)
    return anchored


def _anchor_paths(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {key: _anchor(item) if key == "path" else _anchor_paths(item) for key, item in value.items()}


def _anchor(value: Any) -> Any:
    """An absolute path or glob; of a list each."""
    if isinstance(value, list):
        return [_anchor(item) for item in value]
    if not isinstance(value, str) or value.startswith("~") or "://" in value:
        return value
    return str(Path(value).absolute())


def choices_in(defaults: Any, path: Path) -> Iterator[tuple[str, Any]]:
    """The groups and chosen options in the defaults of a saved config; InputError: it is another file."""
    for entry in defaults if isinstance(defaults, list) else ():
        if isinstance(entry, dict) and len(entry) == 1:
            ((key, option),) = entry.items()
            if str(key).startswith("override /"):
                yield str(key).removeprefix("override /"), option
                continue
        raise InputError(f"{path}: not the config of a run ({entry!r} in its defaults)")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as aside:
        aside.write_text(text, encoding="utf-8")
