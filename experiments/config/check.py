"""Find all faults of a composed config before data is read: of its keys, types, components and plug-ins."""

from __future__ import annotations

import copy
import dataclasses
import difflib
import errno
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException, ValidationError

from elmo.errors import InputError
from elmo.registry import MISSING_VALUE, REGISTRY, suggest
from elmo.text.sentence_splitting import is_language
from elmo.values import range_faults, resolved_hints
from experiments.config.root import PLACES_OF_RUNS, plugin_faults
from experiments.config.sections import Section
from tasks.sources.shared.data_nodes import data_nodes

# What code passes to `REGISTRY.build` beside the config, by kind; the keys are the component groups of conf/.
GIVEN: dict[str, tuple[str, ...]] = {
    "task": (),
    "data": (),
    "tokenizer": (),
    "encoder": (),
    "softmax": ("input_size", "num_types"),
    "batching": ("batch_size",),
    "optimizer": (),
    "schedule": (),
    "mix": ("num_layers", "size"),
    "head": ("input_size", "injected_size"),
    "launcher": (),
    "sampler": (),
    "pruner": (),
    "probe": (),
}
# The packages whose modules register components; none of them imports this one.
COMPONENT_PACKAGES = (
    "elmo",
    "tasks",
    "experiments.training",
    "experiments.sweep.launchers",
    "experiments.tune.components",
    "experiments.probe.kinds",
)


def check_config(cfg: DictConfig) -> Any:
    """The composed config as its schema's dataclass, of plain containers only, interpolations resolved.

    Raises InputError with every fault, a line each, sorted by key. Imports the plugins; and all components,
    with which comes torch, if the config has any, or names a run that has.
    """
    if OmegaConf.get_type(cfg) is dict:
        raise InputError("defaults: a root of your own has to begin with a schema, such as train_schema")
    faults = config_faults(cfg)
    if faults:
        raise InputError("\n".join(faults))
    config = _as_dataclass(cfg)
    if cfg.get("cache_dir") is not None:
        config.cache_dir = str(_cache_directory(config.cache_dir))
    return config


def _cache_directory(text: str) -> Path:
    """The directory of prepared data, created; InputError if nothing can be written there."""
    advice = "give a directory that can: cache_dir=DIR, or set ELMO_CACHE"
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise InputError(f"cache_dir: {text}: the home directory is unknown; {advice}") from error
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        # A directory that can only be read may hold all that is needed.
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS) or not path.is_dir():
            raise InputError(f"cache_dir: {path}: cannot be written ({error.strerror}); {advice}") from error
    return path


def config_faults(cfg: DictConfig) -> list[str]:
    """The faults of a config that composed: missing values, components, values that disagree."""
    try:
        values: Any = OmegaConf.to_container(cfg, resolve=True)
    except OmegaConfBaseException as error:
        return [f"{error.full_key}: {str(error.msg).splitlines()[0]}"]
    # Hydra lets `+key=` past a schema.
    unknown = list(schema_faults(OmegaConf.structured(OmegaConf.get_type(cfg)), values, ""))
    faults = unknown + _discover(values)
    needed = list(plugin_faults(values))
    if needed:
        return needed
    missing = sorted(
        key for key in OmegaConf.missing_keys(cfg) if key.split(".")[0] not in GIVEN or key in GIVEN
    )
    faults += [f"{key}: missing; give a value: {key}=..." for key in missing]
    for kind, given in GIVEN.items():
        node = values.get(kind)
        if node is not None and kind not in missing:
            faults += REGISTRY.check(kind, node, given)
    faults += _language_faults(values)
    if not unknown and not OmegaConf.missing_keys(cfg):
        faults += _disagreements(_as_dataclass(cfg), "")
    return sorted(set(faults))


def schema_faults(
    schema: DictConfig, values: Mapping[Any, Any], where: str, keys: Sequence[str] = ()
) -> Iterator[str]:
    """Unknown keys and wrong types of a tree of values.

    Args:
        schema: of the tree.
        values: the tree.
        where: its place in the config, with a final dot.
        keys: those of the whole config, for suggestions.
    """
    names, probe = [str(key) for key in schema], copy.deepcopy(schema)
    for key, value in values.items():
        place = f"{where}{key}"
        if key not in names:
            yield f"{place}: unknown key{_suggest_key(str(key), where, names, keys)}"
            continue
        node: Any = schema._get_node(key)
        if (
            OmegaConf.is_dict(node)
            and OmegaConf.is_config(node)
            and _is_typed(node)
            and isinstance(value, Mapping)
        ):
            yield from schema_faults(node, value, f"{place}.", keys)
            continue
        try:
            probe[key] = value
        except ValidationError:
            yield f"{place}: {_expectation(node, value)}"


def _suggest_key(name: str, where: str, siblings: Sequence[str], keys: Sequence[str]) -> str:
    """The nearest keys: of this name in any section, or of a similar name here, or else anywhere."""
    same = [key for key in keys if key.rpartition(".")[2] == name]
    if same:
        return f"; nearest: {', '.join(same)}"
    is_near_here = where and difflib.get_close_matches(name, siblings, n=1)
    names = {key.rpartition(".")[2]: key for key in reversed(keys)}
    near = [] if is_near_here else difflib.get_close_matches(name, names, n=1)
    return f"; nearest: {names[near[0]]}" if near else suggest(name, siblings)


def _is_typed(node: DictConfig) -> bool:
    return node._metadata.object_type not in (dict, None)


def _expectation(node: Any, value: Any) -> str:
    wanted = node._metadata.ref_type
    if isinstance(wanted, type) and issubclass(wanted, Enum) and isinstance(value, str):
        return f"unknown choice {value!r}{suggest(value, wanted.__members__)}"
    name = getattr(wanted, "__name__", str(wanted))
    if OmegaConf.is_dict(node):
        name = "a mapping"
    elif OmegaConf.is_list(node):
        name = "a list"
    optional = " or null" if node._metadata.optional else ""
    return f"expected {name}{optional}, got {value!r} ({type(value).__name__})"


def _language_faults(values: Mapping[str, Any]) -> Iterator[str]:
    """Languages of prose that are none: the rules to split it would silently be common ones."""
    given = {f"{key}.language": node.get("language") for key, node in data_nodes(values.get("data"))}
    given["language"] = values.get("language")
    for key, code in given.items():
        if isinstance(code, str) and code != MISSING_VALUE and not is_language(code):
            yield f"{key}: unknown language {code!r}; give a code of ISO 639, such as en, de or zh"


def _as_dataclass(cfg: DictConfig) -> Any:
    return OmegaConf.to_object(cfg)


def _discover(values: Mapping[str, Any]) -> list[str]:
    plugins, faults = values.get("plugins", ()), []
    if plugins or any(values.get(key) is not None for key in (*GIVEN, *PLACES_OF_RUNS)):
        REGISTRY.discover(*COMPONENT_PACKAGES)
    # a console script has no working directory here; last, so that nothing there hides ours
    if plugins and not {"", os.getcwd()} & set(sys.path):
        sys.path.append(os.getcwd())
    for plugin in plugins:
        try:
            REGISTRY.discover(plugin)
        except InputError as error:
            faults.append(f"plugins: {error}")
    return faults


def _disagreements(config: Section, where: str) -> list[str]:
    hints = resolved_hints(type(config))
    faults = [f"{where}{fault}" for fault in config.disagreements()]
    for entry in dataclasses.fields(config):
        value = getattr(config, entry.name)
        faults += range_faults(value, hints[entry.name], f"{where}{entry.name}")
        if isinstance(value, Section):
            faults += _disagreements(value, f"{where}{entry.name}.")
    return faults
