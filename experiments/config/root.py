"""The root of a command's config: the one of conf/, or one with the values of a run that it names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf

from elmo.errors import InputError
from elmo.registry import REGISTRY
from experiments.config.arguments import Arguments
from experiments.config.save import OF_ONE_START, SavedConfig, find_saved, read_saved, read_yaml
from experiments.config.schema import SCHEMAS

AUTO = "auto"  # as the value of `resume`: go on with the command's own run, if there is one
_AGAIN = "_again"  # end of the name of a root that repeats a saved config
# Packages are only imported if the command line asks for it: the run may be a stranger's.
_NOT_REPEATED = (*OF_ONE_START, "plugins")
PLACES_OF_MODELS = ("run", "model", "init_from")
PLACES_OF_RUNS = ("resume", *PLACES_OF_MODELS)


def schema_of(root: str) -> type:
    """The schema of a root's config."""
    return SCHEMAS[root.removesuffix(_AGAIN)]


def choose_root(config_name: str, overrides: Sequence[str], parsed: Any = None) -> str:
    """The name of the root that the overrides apply to. Hydra must be initialized.

    It is `config_name`, unless the command takes values from a run: then it is a new root in Hydra's store,
    of the run's values and choices. `resume=RUN` goes on from the run's config, `run=RUN data.test=FILE`
    changes the run's own data, and `--config-path RUN --config-name config` (in `parsed`) repeats the run.

    Raises:
        InputError: the config of a repeated run cannot be read.
    """
    given = _plain_values(overrides)
    path = None if parsed is None else saved_root_path(parsed)
    if path is not None:
        return _store(config_name, read_saved(path), given)
    resumed = given.get("resume")
    if config_name == "train" and isinstance(resumed, str) and resumed != AUTO:
        saved = _read_of_run(resumed)
        return config_name if saved is None else _store(config_name, saved, given)
    changes_data = "data" not in given and any(key.startswith("data.") for key in given)
    if config_name == "evaluate" and changes_data and isinstance(given.get("run"), str):
        saved = _read_of_run(given["run"])
        if saved is not None and isinstance(saved.values.get("data"), dict):
            return _store(config_name, SavedConfig({"data": saved.values["data"]}, {}), given)
    return config_name


def saved_root_path(parsed: Any) -> Path | None:
    """The saved config that `--config-path` and `--config-name` name; None if they name none.

    Raises:
        InputError: the file is missing, cannot be read, or is a root without any schema.
    """
    if parsed.config_path is None or parsed.config_name is None:
        return None
    path = Path(parsed.config_path) / f"{parsed.config_name.removesuffix('.yaml')}.yaml"
    if not path.is_file():
        raise InputError(f"--config-path {parsed.config_path}: no file {path}")
    if path.read_bytes().startswith(b"# @package _global_"):
        return path
    if "defaults" not in read_yaml(path):
        raise InputError(
            f"{path}: neither the config of a run nor a root; its defaults have to begin with a schema"
        )
    return None


def with_plugins_of_run(arguments: Arguments) -> Arguments:
    """The arguments with the packages' names in the place of `plugins=run`.

    Raises:
        InputError: no run is named, or its config cannot be read.
    """
    if "plugins=run" not in arguments.overrides:
        return arguments
    saved = _saved_of_command(arguments)
    if saved is None:
        places = ", ".join(f"{key}=RUN" for key in PLACES_OF_RUNS)
        raise InputError(f"plugins=run: no run with a config.yaml is named by {places}")
    taken = f"plugins=[{','.join(map(str, saved.values.get('plugins') or ()))}]"
    overrides = [taken if text == "plugins=run" else text for text in arguments.overrides]
    return arguments._replace(overrides=overrides)


def plugin_faults(values: Mapping[str, Any]) -> Iterator[str]:
    """A line for each run that a config names and whose components are of plug-ins that it does not name."""
    for key in PLACES_OF_RUNS:
        place = values.get(key)
        saved = _read_of_run(place) if isinstance(place, str) else None
        if saved is None or not isinstance(saved.values.get("plugins"), list):
            continue
        absent = [name for name in saved.values["plugins"] if name not in values.get("plugins", ())]
        needed: list[Any] = [saved.values] if key == "resume" else [_model_config(Path(str(place)))]
        if values.get("data", {}) is None:
            needed.append(saved.values.get("data"))
        if absent and any(not REGISTRY.kinds_of(name) for name in _types_in(needed)):
            yield (
                f"{key}={place}: the run needs plugins=[{','.join(map(str, absent))}]; name them, or add"
                " plugins=run to import what the run names"
            )


def _types_in(values: Any) -> Iterator[str]:
    """The names of all components in a config."""
    if isinstance(values, Mapping):
        if isinstance(values.get("type"), str):
            yield values["type"]
        values = list(values.values())
    for value in values if isinstance(values, list) else ():
        yield from _types_in(value)


def _model_config(place: Path) -> Any:
    """The model's config.json of a run; None if it cannot be read: the command then says why."""
    from elmo.io.model_directory import (
        CONFIG_FILE,
    )  # late: with it comes torch, for which `--help` shall not wait

    for path in (place / CONFIG_FILE, place / "model" / CONFIG_FILE):
        try:
            return json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            continue
    return None


def _saved_of_command(arguments: Arguments) -> SavedConfig | None:
    path = saved_root_path(arguments.parsed)
    if path is not None:
        return read_saved(path)
    given = _plain_values(arguments.overrides)
    places = [given[key] for key in PLACES_OF_RUNS if isinstance(given.get(key), str)]
    return next((saved for saved in map(_read_of_run, places) if saved is not None), None)


def _read_of_run(place: str) -> SavedConfig | None:
    """The saved config of a run; None if there is none that can be read: the command then says why."""
    path = find_saved(Path(place))
    try:
        return None if path is None else read_saved(path)
    except InputError:
        return None


def _store(config_name: str, saved: SavedConfig, given: Mapping[str, Any]) -> str:
    """Puts a root into Hydra's store that begins with a saved config, and returns its name."""
    choices = saved.choices or {}
    # The values of another option than the saved one are its own.
    replaced = {group for group, option in choices.items() if given.get(group, option) != option}
    values = {
        key: value for key, value in saved.values.items() if key not in replaced and key not in _NOT_REPEATED
    }
    if saved.choices is None:  # of an earlier version: no other options can be chosen
        defaults: list[Any] = [f"{config_name}_schema", {"override hydra/help": config_name}]
        defaults += [{"override hydra/output": "none"}, {"override hydra/job_logging": "none"}]
        values["hydra"] = {"output_subdir": None}
    else:
        defaults = [config_name]
        for group, option in choices.items():
            defaults.append({f"override {group}": option if _fits(group, option, values) else None})
    name = f"{config_name}{_AGAIN}"
    ConfigStore.instance().store(name=name, node={"defaults": [*defaults, "_self_"], **values})
    return name


def _fits(group: str, option: Any, values: Mapping[str, Any]) -> bool:
    """Whether the saved values can lie above an option's.

    They cannot if it is of a user's directory that is not given now, if they are of another component, as
    those of an encoder that `init_from` brought, or if they lack a part of it, which the user took out; they
    are complete without the option.
    """
    loader: Any = GlobalHydra.instance().config_loader()
    if option not in loader.get_group_options(group):
        return False
    loaded, saved = loader.repository.load_config(f"{group}/{option}").config, values.get(group)
    if not isinstance(saved, Mapping) or "type" not in loaded:
        return True
    return saved.get("type") == loaded.type and _has_parts(saved, OmegaConf.to_container(loaded))


def _has_parts(saved: Any, loaded: Any) -> bool:
    """Whether all component nodes in an option's values have a place in the saved ones."""
    if not isinstance(loaded, Mapping) or not isinstance(saved, Mapping):
        return True
    is_part = {key: isinstance(value, Mapping) and "type" in value for key, value in loaded.items()}
    return all(
        _has_parts(saved[key], value) if key in saved else not is_part[key] for key, value in loaded.items()
    )


def _plain_values(overrides: Sequence[str]) -> dict[str, Any]:
    """The values of the overrides that can be read and are not swept, by key."""
    values = {}
    for text in overrides:
        try:
            override = OverridesParser.create().parse_override(text)
        except HydraException:
            continue
        if not override.is_delete() and not override.is_sweep_override():
            values[override.key_or_group] = override.value()
    return values
