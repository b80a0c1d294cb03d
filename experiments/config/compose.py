"""Finds all faults of a command line, one line each, although Hydra stops at the first."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from hydra import compose, version
from hydra._internal.core_plugins.basic_sweeper import BasicSweeperConf
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from elmo.errors import InputError, suggest
from experiments.config.check import GIVEN, config_faults, schema_faults
from experiments.config.root import schema_of
from experiments.config.save import chosen_options, composable

COMPOSE_ERRORS = (HydraException, OmegaConfBaseException, yaml.YAMLError)


@contextmanager
def search_path(conf_path: Path, config_dir: str | None) -> Iterator[None]:
    """Initializes Hydra with the search path of a job, so that the options of `--config-dir` are known.

    `hydra.initialize_config_dir` is public, but knows no second directory.

    Raises:
        InputError: an option in `config_dir` has the name of another in `conf_path`, which Hydra would take.
    """
    path = create_config_search_path(str(conf_path))
    if config_dir is not None:
        _refuse_hidden_options(conf_path, Path(config_dir))
        place = f"file://{Path(config_dir).resolve()}"
        path.prepend(provider="command-line", path=place, anchor=SearchPathQuery(provider="schema"))
    version.setbase("1.3")
    GlobalHydra.instance().clear()
    try:
        Hydra.create_main_hydra2("check", path)
        yield
    finally:
        GlobalHydra.instance().clear()


def _refuse_hidden_options(conf_path: Path, config_dir: Path) -> None:
    for own in sorted(config_dir.glob("*/**/*.yaml")):
        shipped = conf_path / own.relative_to(config_dir)
        if shipped.is_file() and shipped.read_bytes() != own.read_bytes():
            raise InputError(f"{own}: the project's own option of this name would be taken; rename the file")


def config_text(config_name: str, overrides: Sequence[str], *, resolved: bool) -> str:
    """The config of a command line without faults, as yaml that composes again. Hydra must be initialized."""
    cfg = compose(config_name, overrides=list(overrides), return_hydra_config=True)
    choices = chosen_options(cfg.hydra.runtime.choices)
    with open_dict(cfg):
        del cfg["hydra"]
    return composable(OmegaConf.to_yaml(cfg, resolve=resolved), choices)


def command_line_faults(config_name: str, overrides: Sequence[str], *, is_multirun: bool) -> list[str]:
    """All faults of a command line, sorted by key; [] if all its jobs can start. Hydra must be initialized.

    Not every job of a sweep is composed: each value of a swept key is, beside the first value of the others.
    """
    if not is_multirun:
        return job_faults(config_name, overrides)
    try:
        sweeper = compose(
            config_name, overrides=_hydra_only(overrides), return_hydra_config=True
        ).hydra.sweeper
        params = [f"{key}={value}" for key, value in (sweeper.get("params") or {}).items()]
        takes_intervals = sweeper.get("_target_") != BasicSweeperConf._target_
        choices = [_swept_values(text, takes_intervals) for text in [*params, *overrides]]
    except InputError as error:
        return [str(error)]
    except OverrideParseException as error:
        return [f"{error.override}: cannot be read; {str(error).splitlines()[0]}"]
    except COMPOSE_ERRORS as error:
        return [one_line(error, config_name)]
    first = [values[0] for values in choices]
    jobs = [first]
    for i, values in enumerate(choices):
        jobs += [[*first[:i], value, *first[i + 1 :]] for value in values[1:]]
    found = itertools.chain.from_iterable(job_faults(config_name, job) for job in jobs)
    return sorted(set(found))


def _hydra_only(overrides: Iterable[str]) -> list[str]:
    return [text for text in overrides if text.lstrip("+~").startswith(("hydra.", "hydra/"))]


def _swept_values(text: str, takes_intervals: bool) -> list[str]:
    """The overrides that a sweeper makes of one, the ends of an interval for all of it.

    Raises:
        InputError: the sweeper takes no intervals.
    """
    loader = GlobalHydra.instance().config_loader()
    override = OverridesParser.create(config_loader=loader).parse_override(text)
    if override.is_interval_sweep():
        if not takes_intervals:
            raise InputError(
                f"{override.key_or_group}: an interval has no list of values to run a job for; write"
                " choice(...) or range(...), or search it with experiments.tune"
            )
        interval: Any = override.value()
        return [f"{override.get_key_element()}={end}" for end in (interval.start, interval.end)]
    if not override.is_discrete_sweep():
        return [text]
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]


def job_faults(config_name: str, overrides: Sequence[str]) -> list[str]:
    """All faults of the command line of one job, sorted; [] if it can start. Hydra must be initialized."""
    try:
        return config_faults(composed(config_name, overrides))
    except COMPOSE_ERRORS as error:
        # Hydra stops at the first fault: take the command line apart to find the others.
        found = _faults_apart(config_name, overrides)
        return sorted(set(found)) or [one_line(error, config_name)]


def composed(config_name: str, overrides: Sequence[str]) -> DictConfig:
    """The config of one job; one of COMPOSE_ERRORS if it has none. Hydra must be initialized."""
    try:
        return compose(config_name, overrides=list(overrides))
    except (ValueError, AssertionError) as error:  # a group whose option is a number; a key below null
        raise HydraException(str(error)) from error


def _faults_apart(config_name: str, overrides: Sequence[str]) -> list[str]:
    faults: list[str] = []
    sound: list[Override] = []
    swept: list[Override] = []
    unknown: list[str] = []  # groups without a valid choice
    chosen = _chosen(config_name, overrides)
    keys = list(_keys_of(chosen))
    for text in overrides:
        try:
            override = OverridesParser.create().parse_override(text)
        except HydraException:
            faults.append(f"{text}: cannot be read; write key=value, and quote special characters: key='a b'")
            continue
        if override.is_sweep_override():
            swept.append(override)
            continue
        found = _override_faults(config_name, override, keys) or list(_absent_section(override, chosen))
        faults += found
        if not found:
            sound.append(override)
        elif _group_options(override.key_or_group):
            unknown.append(f"{override.key_or_group}.")
    files = [file for override in sound for file in _chosen_files(override)]
    in_files = [fault for file in files for fault in _file_faults(config_name, file, keys)]
    opened = [_opened(override) for override in sound]
    faults += [_sweep_fault(config_name, override, opened) for override in swept]
    further = in_files or _composition_faults(config_name, opened)
    # Without its choice, a group has the default one, whose faults are not the user's.
    return faults + [fault for fault in further if not fault.startswith(tuple(unknown))]


def _composition_faults(config_name: str, overrides: list[str]) -> list[str]:
    try:
        return config_faults(composed(config_name, overrides))
    except COMPOSE_ERRORS as error:
        file = re.match(r"In '([^']+)'", str(error))
        in_file = list(_file_faults(config_name, file[1], ())) if file else []
        return in_file or [one_line(error, config_name)]


def _sweep_fault(config_name: str, override: Override, others: Sequence[str]) -> str:
    """What to write instead of several values without -m: a list, if the key takes one."""
    key, values = override.key_or_group, str(override.input_line).partition("=")[2]
    advice = "add -m to run a job for each"
    as_list = f"++{key}=[{values}]"
    if override.is_discrete_sweep() and not _group_options(key) and "/" not in key:
        parsed = OverridesParser.create().parse_override(as_list)
        faults = _override_faults(config_name, parsed, ())
        faults += _composition_faults(config_name, [*others, as_list])
        if not any(fault.startswith(f"{key}: ") for fault in faults):
            advice = f"write {key}=[{values}] for a list, or {advice}"
    return f"{key}: {values} is more than one value; {advice}"


def _chosen(config_name: str, overrides: Sequence[str]) -> Any:
    """The values of the config with the options that are chosen, or, if they do not compose, without them."""
    choices = [text for text in overrides if _group_options(text.lstrip("+").partition("=")[0])]
    try:
        cfg = composed(config_name, choices)
    except COMPOSE_ERRORS:
        cfg = composed(config_name, ())
    return OmegaConf.to_container(cfg)


def _keys_of(values: Any, where: str = "") -> Iterator[str]:
    for key, value in values.items() if isinstance(values, Mapping) else ():
        yield f"{where}{key}"
        yield from _keys_of(value, f"{where}{key}.")


def _override_faults(config_name: str, override: Override, keys: Sequence[str]) -> list[str]:
    key = override.key_or_group
    if key.startswith(("hydra.", "hydra/")) or override.is_delete():
        return []
    options = _group_options(key)
    if options and not isinstance(override.value(), Mapping):
        chosen = [str(option) for option in _as_list(override.value()) if option is not None]
        return [
            f"{key}: unknown option {name!r}{suggest(name, options)}"
            for name in chosen
            if name not in options
        ]
    if "/" in key:
        return [f"{key}: unknown group{suggest(key, _groups())}"]
    values = _nested(key, override.value())
    return list(schema_faults(OmegaConf.structured(schema_of(config_name)), values, "", keys))


def _absent_section(override: Override, chosen: Mapping[str, Any]) -> Iterator[str]:
    """The fault of a key in a section that the chosen options leave out."""
    section, dot, _ = override.key_or_group.partition(".")
    if dot and chosen.get(section, {}) is None:
        options = _group_options(section)
        advice = f"; choose one: {section}={'|'.join(options)}" if options else ""
        yield f"{override.key_or_group}: there is no {section} here{advice}"


def _chosen_files(override: Override) -> list[str]:
    key = override.key_or_group
    if override.is_delete() or not _group_options(key):
        return []
    return [f"{key}/{option}" for option in _as_list(override.value()) if option is not None]


def _opened(override: Override) -> str:
    """The override, changed to allow new keys of a component: the registry has the better error message."""
    text = str(override.input_line)
    inside_component = override.key_or_group.split(".")[0] in GIVEN and "." in override.key_or_group
    is_plain = override.type is not None and not text.startswith(("+", "~"))
    return f"++{text}" if inside_component and is_plain else text


def _file_faults(config_name: str, path: str, keys: Sequence[str]) -> Iterator[str]:
    """The faults of a config file (path without .yaml) against the schema; `keys` are all of the config."""
    loader: Any = GlobalHydra.instance().config_loader()
    try:
        loaded = loader.repository.load_config(path)
    except COMPOSE_ERRORS as error:
        yield one_line(error, config_name)
        return
    if loaded is None or not isinstance(loaded.config, DictConfig):
        return
    yield from (f"{fault} (in {path}.yaml)" for fault in _choice_faults(loaded.defaults_list or ()))
    values: Any = OmegaConf.to_container(loaded.config)
    package = loaded.header.get("package") or path.rpartition("/")[0].replace("/", ".")
    values.pop("defaults", None)
    tree = values if package == "_global_" else _nested(package, values)
    schema = OmegaConf.structured(schema_of(config_name))
    yield from (f"{fault} (in {path}.yaml)" for fault in schema_faults(schema, tree, "", keys))


def one_line(error: Exception, config_name: str) -> str:
    """A Hydra, OmegaConf or YAML error as one line."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        return f"{mark.name}:{mark.line + 1}: not valid YAML: {error.problem}"
    text = str(error) or str(error.__cause__ or type(error).__name__)
    place = re.match(r"In '([^']+)': ", text)
    suffix = f" (in {place[1]}.yaml)" if place else ""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.rpartition("/")
        return (
            f"{group or config_name}: unknown option {option!r}{suggest(option, error.options or ())}{suffix}"
        )
    unused = re.search(r"Could not override '([^']+)'. No match in the defaults list", text)
    if unused:
        return f"{unused[1]}: the chosen task has no group of this name{suffix}"
    absent = re.search(r"Could not override '([^']+)'.\s+To append to your config use (\S+)", text)
    if absent:
        return f"{absent[1]}: not in the chosen option's file; to add it write {absent[2]}{suffix}"
    first_lines = " ".join(text[place.end() if place else 0 :].split())
    return f"{first_lines}{suffix}"


def _choice_faults(defaults: Iterable[Any]) -> Iterator[str]:
    """The faults of the choices in a file's defaults list, except for relative groups."""
    for entry in defaults:
        group, choice = getattr(entry, "group", None), getattr(entry, "value", None)
        if group is None or not group.startswith("/") or not isinstance(choice, str) or "$" in choice:
            continue
        options = _group_options(group[1:])
        if not options:
            yield f"{group[1:]}: unknown group{suggest(group[1:], _groups())}"
        elif choice not in options:
            yield f"{group[1:]}: unknown option {choice!r}{suggest(choice, options)}"


def _group_options(group: str) -> list[str]:
    return list(_options_of(GlobalHydra.instance().config_loader(), group))


@lru_cache(maxsize=256)  # Hydra copies all that it knows of its directories for each answer
def _options_of(loader: ConfigLoader, group: str) -> tuple[str, ...]:
    return tuple(loader.get_group_options(group))


def _groups() -> list[str]:
    return [name for name in GlobalHydra.instance().config_loader().list_groups("") if name != "hydra"]


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _nested(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    return value
