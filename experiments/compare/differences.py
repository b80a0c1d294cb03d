"""What differs between the configs of runs: the keys that decide which runs make a group."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

from elmo.errors import InputError, shown, suggest
from experiments.io.run_record import RunRecord, flatten

ABSENT = "absent"  # of a key that a run's config does not have
# What belongs to one start, to its place, or to what is printed and kept; no figure depends on it.
_OF_ONE_START = {"name", "output_dir", "resume", "dry_run", "cache_dir", "plugins"}
_OF_ONE_START |= {f"trainer.{key}" for key in ("device", "num_threads", "log_every", "check_memory")}
_OF_ONE_START |= {f"trainer.{key}" for key in ("save_every", "save_every_minutes", "keep_checkpoints")}
_OF_ONE_START |= {"features.max_gigabytes", "logger"}
# An encoder of a biLM has one, and another has none.
_GOES_WITH = {"init_from": "encoder"}

Column = list[Hashable]  # a value for each run


def columns_of(runs: Sequence[RunRecord], axes: Sequence[Mapping[str, Any]]) -> dict[str, Column]:
    """A column for each key of the configs and for each group's choice; the axes of a sweep before those.

    A choice stands under the group's name, as `encoder`, and its values below it, as `encoder.size`. Files of
    the same content have one path, that of the first run: they may lie elsewhere on another machine.
    """
    flats = [flatten(run.config) for run in runs]
    keys = dict.fromkeys(key for flat in flats for key in flat)
    groups = dict.fromkeys(group for run in runs for group in _choices(run))
    columns = {key: _by_content(key, [plain(flat.get(key, ABSENT)) for flat in flats], runs) for key in keys}
    columns |= {group: [plain(_choices(run).get(group)) for run in runs] for group in groups}
    columns = {key: column for key, column in columns.items() if not _is_of_one_start(key)}
    for axis in dict.fromkeys(axis for each in axes for axis in each):
        columns[axis] = [plain(each.get(axis, ABSENT)) for each in axes]
    return columns


def differing(columns: Mapping[str, Column]) -> list[str]:
    """The keys that differ; a group's choice stands for those values below it that it decides."""
    varying = [key for key, column in columns.items() if len(set(column)) > 1]
    decided = {
        key
        for key in varying
        if (group := _GOES_WITH.get(key, key.partition(".")[0])) != key
        and group in varying
        and is_decided(columns[key], [columns[group]])
    }
    # Two options with the same values below them are one.
    groups = {key for key in varying if any(other.startswith(f"{key}.") for other in columns)}
    empty = {group for group in groups if not any(key.startswith(f"{group}.") for key in varying)}
    return [key for key in varying if key not in decided | empty]


def is_decided(column: Column, by: Sequence[Column]) -> bool:
    """Whether runs that are equal in all columns `by` are equal in this one."""
    first: dict[tuple[Hashable, ...], Hashable] = {}
    keys = zip(*by, strict=True) if by else ((),) * len(column)
    return all(first.setdefault(key, value) == value for key, value in zip(keys, column, strict=True))


def refuse_unknown(name: str, keys: Iterable[str], columns: Mapping[str, Column]) -> None:
    """InputError for a key that no config has."""
    for key in keys:
        if key not in columns:
            raise InputError(f"{name}: no run's config has the key {shown(key)}{suggest(key, columns)}")


def described(key: str, columns: Mapping[str, Column]) -> str:
    """A key with some of its values, such as `encoder (elmo, word)`."""
    values = [shown_value(value) for value in dict.fromkeys(columns[key])]
    return f"{key} ({', '.join(values[:4])}{', ...' if len(values) > 4 else ''})"


def shown_value(value: Any) -> str:
    """A value as a label: numbers short, no value as null."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else shown(value, str)


def plain(value: Any) -> Hashable:
    """A value that can be compared and counted: of a list its JSON."""
    return json.dumps(value) if isinstance(value, (list, dict)) else value


def _by_content(key: str, column: Column, runs: Sequence[RunRecord]) -> Column:
    """The column with one path for files whose digests, as the last starts have recorded them, are equal."""
    paths: dict[str, Hashable] = {}
    found = []
    for value, run in zip(column, runs, strict=True):
        digests = (run.starts[-1].get("files") or {}).get(key) if run.starts else None
        found.append(paths.setdefault(json.dumps(digests, sort_keys=True), value) if digests else value)
    return found


def _choices(run: RunRecord) -> dict[str, Any]:
    """The option of each group; where an earlier version saved none, the component's name."""
    types = {
        group: node["type"] for group, node in run.config.items() if isinstance(node, dict) and "type" in node
    }
    return types | (run.choices or {})


def _is_of_one_start(key: str) -> bool:
    return key in _OF_ONE_START or key.partition(".")[0] in _OF_ONE_START
