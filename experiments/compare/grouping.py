"""Puts runs into groups by what differs in their configs, and refuses what may not be compared."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from elmo.errors import InputError
from experiments.compare.differences import (
    Column,
    columns_of,
    described,
    differing,
    is_decided,
    refuse_unknown,
    shown_value,
)
from experiments.compare.reading import Material, by_value, names
from experiments.io.run_record import RunRecord


class Grouping(NamedTuple):
    """Which runs make which group.

    Attributes:
        by: the keys that make the groups.
        over: the keys whose values are repetitions.
        data_key: the key of `by` that decides the test set; None if all runs have the same.
        members: of each group its values of `by` and the places of its runs.
    """

    by: list[str]
    over: list[str]
    data_key: str | None
    members: list[tuple[dict[str, Any], list[int]]]

    def label(self, key: Mapping[str, Any], *, with_data: bool = True) -> str:
        """What a group has of its own, such as `elmo, bilstm`, or `learning_rate=0.01`."""
        ends = [name.rpartition(".")[2] for name in key]
        parts = [
            _labelled(name if ends.count(end) > 1 else end, value)
            for (name, value), end in zip(key.items(), ends, strict=True)
            if with_data or name != self.data_key
        ]
        return ", ".join(parts) or "all runs"


def group_runs(
    material: Material, *, by: Sequence[str] | None, over: Sequence[str], may_repeat: bool = False
) -> Grouping:
    """The groups of runs that differ in nothing but `over`.

    Args:
        material: the runs.
        by: the keys that make the groups; None: the axes of the sweep, or the one key that differs.
        over: the keys whose values are repetitions.
        may_repeat: whether a group may have the same repetition twice, as a search may try values twice.

    Raises:
        InputError: the runs differ in other keys, which are named, two runs of a group are the same
            repetition, or the runs are of different tasks or test sets.
    """
    runs = material.runs
    columns = columns_of(runs, material.axes)
    refuse_unknown("by", by or (), columns)
    refuse_unknown("over", [key for key in over if key != "seed"], columns)
    left = [key for key in differing(columns) if key not in over]
    axes = [axis for axis in dict.fromkeys(axis for each in material.axes for axis in each)]
    if by is None:
        by = [axis for axis in axes if axis not in over and len(set(columns[axis])) > 1] or _only(
            left, columns
        )
    data_key = _data_key(runs, by, columns)
    explained = [axes] if axes else []
    explained += [[data_key]] if data_key is not None else []
    unexplained = [
        key
        for key in left
        if key not in by and not any(_is_explained(key, keys, columns) for keys in explained)
    ]
    if unexplained:
        _refuse(unexplained, by, over, columns)
    members: dict[tuple[Hashable, ...], list[int]] = {}
    for place in range(len(runs)):
        members.setdefault(tuple(columns[key][place] for key in by), []).append(place)
    order = list(members) if axes else sorted(members, key=_order)
    grouping = Grouping(
        list(by), list(over), data_key, [(dict(zip(by, key, strict=True)), members[key]) for key in order]
    )
    if not may_repeat:
        _refuse_duplicates(grouping, runs, columns)
    return grouping


def order_of(place: int, over: Sequence[str], columns: Mapping[str, Column]) -> tuple[Any, ...]:
    """The place of a run within its group: by its values of `over`."""
    return _order([columns[key][place] for key in over if key in columns])


def _is_explained(key: str, by: Sequence[str], columns: Mapping[str, Column]) -> bool:
    return is_decided(columns[key], [columns[name] for name in by])


def _only(left: Sequence[str], columns: Mapping[str, Column]) -> list[str]:
    if len(left) > 1:
        listed = ", ".join(described(key, columns) for key in left)
        example = ",".join(left)
        raise InputError(
            f"the runs differ in {listed}; say which of them make the groups, such as by=[{example}], and"
            " which are repetitions, such as over=[seed]"
        )
    return list(left)


def _data_key(runs: Sequence[RunRecord], by: Sequence[str], columns: Mapping[str, Column]) -> str | None:
    """The key of `by` that decides the test set; None if there is one test set.

    Raises:
        InputError: no key of `by` decides it, or it is unknown.
    """
    without = [run.path for run in runs if "test" not in run.fingerprints]
    if without:
        raise InputError(
            f"{names(without)}: no fingerprint of the test split in environment.json, so that nobody knows"
            " whether the test sets are the same; train again"
        )
    found = by_value(runs, lambda run: run.fingerprints["test"])
    if len(found) == 1:
        return None
    tests: Column = [run.fingerprints["test"] for run in runs]
    deciding = [key for key in by if is_decided(tests, [columns[key]])]
    if deciding:
        return "data" if "data" in deciding else deciding[0]
    keys = [key for key in differing(columns) if key.partition(".")[0] in ("data", "tokenizer")]
    why = ", ".join(described(key, columns) for key in keys)
    advice = f"they differ in {why}; name what makes data sets in by" if why else "their content has changed"
    several = "; ".join(names(paths) for paths in list(found.values())[:3])
    raise InputError(f"runs of {len(found)} different test sets ({several}): {advice}")


def _refuse(
    keys: Sequence[str], by: Sequence[str], over: Sequence[str], columns: Mapping[str, Column]
) -> None:
    listed = ", ".join(described(key, columns) for key in keys)
    raise InputError(
        f"the runs differ in more than by=[{','.join(by)}] and over=[{','.join(over)}] say: {listed}; add"
        " them to one of the two, or leave runs out"
    )


def _refuse_duplicates(grouping: Grouping, runs: Sequence[RunRecord], columns: Mapping[str, Column]) -> None:
    keys = [key for key in grouping.over if key in columns]
    for values, places in grouping.members:
        seen: dict[tuple[Hashable, ...], int] = {}
        for place in places:
            repetition = tuple(columns[key][place] for key in keys)
            if repetition in seen:
                pairs = zip(keys, repetition, strict=True)
                told = ", ".join(f"{key}={shown_value(value)}" for key, value in pairs)
                both = names([runs[seen[repetition]].path, runs[place].path])
                where = f"{grouping.label(values)}{f' ({told})' if told else ''}"
                raise InputError(f"the same repetition twice in {where}: {both}; leave one out")
            seen[repetition] = place


def _labelled(name: str, value: Any) -> str:
    text = shown_value(value)
    return text if isinstance(value, str) and value != "absent" else f"{name}={text}"


def _order(values: Sequence[Any]) -> tuple[tuple[bool, float, str], ...]:
    """A key to sort by: numbers by size, before words."""
    return tuple(
        (False, float(value), "")
        if isinstance(value, (int, float)) and not isinstance(value, bool)
        else (True, 0.0, str(value))
        for value in values
    )
