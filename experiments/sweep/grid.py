"""The jobs of a sweep: the grid of its file, or of a command line, as named lists of overrides."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from elmo.errors import InputError, shown, suggest
from experiments.sweep.data_files import DataFiles, with_data_files
from experiments.sweep.overrides import (
    key_of,
    merged,
    override_texts,
    read_value,
    swept_texts,
    value_text,
)
from experiments.sweep.record import JobRecord

PRETRAINING = "pretraining"
# What is of the machine and not of the task: a sweep's pretrainings take it from the jobs.
SHARED_KEYS = ("cache_dir", "logger", "plugins", "trainer.device", "trainer.num_threads")
_LONGEST_NAME = 120  # letters; a file system allows 255 bytes


class Setting(NamedTuple):
    """A value of an axis, and the overrides that it stands for; `is_named`: the value is their name."""

    value: Any
    overrides: list[str]
    is_named: bool = False


Axes = dict[str, list[Setting]]


class Source(NamedTuple):
    """A biLM that jobs start from.

    Attributes:
        value: which it is of those of one name; empty for the only one.
        overrides: of its pretraining.
        place: where it is, if it need not be trained.
    """

    value: str
    overrides: list[str]
    place: str | None = None


class Plan(NamedTuple):
    """What a sweep is made of.

    Attributes:
        base: overrides of all jobs.
        grids: each is crossed by itself, and all of them are run.
        pretraining: the biLMs, by name; those to be trained are the jobs that come first.
        data_files: overrides of the jobs on a data set.
    """

    base: list[str]
    grids: list[Axes]
    pretraining: dict[str, list[Source]]
    data_files: DataFiles


def read_plan(
    *,
    base: Mapping[str, Any],
    grid: Any,
    pretraining: Mapping[str, Any],
    given: Sequence[str],
    data_files: DataFiles | None = None,
) -> Plan:
    """The plan of a sweep's file with the overrides of a command line.

    Args:
        base, grid, pretraining: of the file; {} if there is none.
        data_files: see `Plan`; None: none.
        given: overrides of `experiments.train`; one of an axis chooses among its named values or replaces
            all, a swept one adds an axis, and any other is of all jobs.

    Raises:
        InputError: a line for each part that is none of a sweep.
    """
    grids = [_axes(item, where) for item, where in _grids(grid)]
    plain = []
    for text in given:
        key, values = key_of(text), swept_texts(text)
        is_axis = any(key in axes for axes in grids)
        chosen = _chosen(grids, key, [str(read_value(value)) for value in values])
        if chosen is not None:
            grids = chosen
            continue
        if not is_axis and len(values) == 1:
            plain.append(text)
            continue
        for axes in grids:
            if key in axes or not is_axis:
                axes[key] = [_setting(text.partition("=")[0], value) for value in values]
    overrides = merged(override_texts(base), plain)
    shared = [text for text in overrides if _is_shared(text)]
    return Plan(
        base=overrides,
        grids=grids,
        pretraining={
            str(name): _variants(values, f"{PRETRAINING}.{name}", shared)
            for name, values in pretraining.items()
        },
        data_files=data_files or {},
    )


def jobs_of(plan: Plan, path: Path) -> list[JobRecord]:
    """The jobs, those of the pretraining first; `path` is the sweep's directory.

    Raises:
        InputError: two jobs have one name or are the same, or a pretraining that is named is not there.
    """
    pretraining = [
        JobRecord(_named(name, source), {}, with_data_files(overrides, plan.data_files), role="pretraining")
        for name, sources in plan.pretraining.items()
        for source in sources
        if source.place is None
        for overrides in _one_source(source.overrides, plan, path, f"{PRETRAINING}.{name}")
    ]
    jobs = [job for axes in plan.grids for job in _crossed(axes, plan, path)]
    _refuse_duplicates([*pretraining, *jobs])
    return [*pretraining, *jobs]


def needs(job: JobRecord, jobs: Iterable[JobRecord], path: Path) -> list[str]:
    """The names of the pretrainings that a job starts from, or from whose checkpoint."""
    places = [
        Path(str(read_value(text.partition("=")[2]))) for text in job.overrides if key_of(text) == "init_from"
    ]
    return [other.name for other in jobs for place in places if path / other.name in (place, *place.parents)]


def _grids(grid: Any) -> Iterator[tuple[Mapping[str, Any], str]]:
    several = isinstance(grid, (list, tuple))
    for number, item in enumerate(grid if several else [grid]):
        where = f"grid[{number}]" if several else "grid"
        if not isinstance(item, Mapping):
            raise InputError(f"{where}: expected a mapping of keys to values, got {shown(item)}")
        yield item, where


def _axes(grid: Mapping[str, Any], where: str) -> Axes:
    axes = {str(key): _settings(str(key), values, f"{where}.{key}") for key, values in grid.items()}
    empty = [f"{where}.{key}: has no value" for key, settings in axes.items() if not settings]
    if empty:
        raise InputError("\n".join(empty))
    return axes


def _chosen(grids: Sequence[Axes], key: str, names: Sequence[str]) -> list[Axes] | None:
    """The grids with the named values of an axis only, without those that have none; None: no such names.

    Raises:
        InputError: some of the names are known, others not.
    """
    named = {setting.value for axes in grids for setting in axes.get(key, []) if setting.is_named}
    if named.isdisjoint(names):
        return None
    unknown = [name for name in names if name not in named]
    if unknown:
        raise InputError(f"{key}: {unknown[0]}: not among the sweep's ({', '.join(sorted(named))})")
    found = []
    for axes in grids:
        kept = [setting for setting in axes.get(key, []) if setting.value in names]
        if kept or key not in axes:
            found.append({**axes, key: kept} if kept else axes)
    return found


def _settings(key: str, values: Any, where: str) -> list[Setting]:
    """The settings of an axis: of a list, of Hydra's syntax as a string, or of names with overrides."""
    if isinstance(values, Mapping):
        loose = [name for name, value in values.items() if not isinstance(value, Mapping)]
        if loose:
            raise InputError(
                f"{where}.{loose[0]}: expected a mapping of overrides, got {shown(values[loose[0]])}; a key"
                f" of a section is written with a dot: {key}.{loose[0]}: [...]"
            )
        return [Setting(str(name), override_texts(value), True) for name, value in values.items()]
    if isinstance(values, (list, tuple)):
        return [_setting(key, value_text(value)) for value in values]
    text = values if isinstance(values, str) else value_text(values)
    return [_setting(key, value) for value in swept_texts(f"{key}={text}")]


def _setting(key: str, text: str) -> Setting:
    return Setting(read_value(text), [f"{key}={text}"])


def _variants(values: Any, where: str, shared: list[str]) -> list[Source]:
    """The biLMs of one name: runs and models that are there, or a run for each combination of the lists."""
    places = values if isinstance(values, (list, tuple)) else [values]
    if places and all(isinstance(place, str) for place in places):
        _refuse_absent(places, where)
        labels = [_safe(place) for place in places] if len(places) > 1 else [""]
        return [Source(label, [], place) for label, place in zip(labels, places, strict=True)]
    if not isinstance(values, Mapping):
        raise InputError(
            f"{where}: expected a mapping of overrides, or a run or model that is there, got {shown(values)}"
        )
    texts = override_texts(values)
    axes = {
        key_of(text): [_setting(key_of(text), value_text(value)) for value in values]
        for text in texts
        if isinstance(values := read_value(text.partition("=")[2]), list)
    }
    several = {key for key, settings in axes.items() if len(settings) > 1}
    fixed = [text for text in texts if key_of(text) not in axes]
    return [
        Source(
            _label({key: setting for key, setting in chosen if key in several}),
            merged(shared, fixed, *(setting.overrides for _, setting in chosen)),
        )
        for chosen in _combinations(axes)
    ]


def _refuse_absent(places: Sequence[str], where: str) -> None:
    from elmo.io.published import PUBLISHED  # late: few sweeps need it

    for place in places:
        if not Path(place).is_dir() and place not in PUBLISHED:
            known = suggest(place, PUBLISHED)
            raise InputError(f"{where}: {place}: no such directory and no published model{known}")


def _is_shared(text: str) -> bool:
    key = key_of(text)
    return key in SHARED_KEYS or key.startswith("logger.")


def _crossed(axes: Axes, plan: Plan, path: Path) -> Iterator[JobRecord]:
    for chosen in _combinations(axes):
        overrides = merged(plan.base, *(setting.overrides for _, setting in chosen))
        overrides = with_data_files(overrides, plan.data_files)
        for source, texts in _sources(overrides, plan, path):
            settings = [*source.items(), *chosen]
            values = {axis: setting.value for axis, setting in settings}
            yield JobRecord(_label(dict(settings)) or "job", values, texts)


def _one_source(overrides: list[str], plan: Plan, path: Path, where: str) -> list[list[str]]:
    """The overrides of a pretraining, which may start from another one; InputError: from several."""
    found = [texts for _, texts in _sources(overrides, plan, path)]
    if len(found) > 1:
        raise InputError(f"{where}.init_from: stands for {len(found)} pretrainings; name one without lists")
    return found


def _sources(overrides: list[str], plan: Plan, path: Path) -> Iterator[tuple[dict[str, Setting], list[str]]]:
    """A job for each biLM of the name in its `init_from`, whose place takes that of the name.

    Behind the name may stand a checkpoint: `pretraining/NAME/checkpoints/at-0.1`. Where there are several
    biLMs, which one it is, is an axis of that name.
    """
    named = [text for text in overrides if text.startswith(f"init_from={PRETRAINING}/")]
    if not named:
        yield {}, overrides
        return
    name, *below = named[-1].partition("/")[2].split("/")
    if name not in plan.pretraining:
        known = ", ".join(plan.pretraining) or "none"
        raise InputError(f"init_from: {PRETRAINING}/{name}: not among the sweep's pretrainings ({known})")
    sources = plan.pretraining[name]
    for source in sources:
        place = str(path / _named(name, source)) if source.place is None else source.place
        axis = {name: Setting(source.value, [])} if len(sources) > 1 else {}
        yield axis, merged(overrides, [f"init_from={value_text('/'.join([place, *below]))}"])


def _named(name: str, source: Source) -> str:
    """The directory of a pretraining within the sweep's."""
    return f"{PRETRAINING}/{name},{source.value}" if source.value else f"{PRETRAINING}/{name}"


def _combinations(axes: Axes) -> Iterator[list[tuple[str, Setting]]]:
    for chosen in itertools.product(*axes.values()):
        yield list(zip(axes, chosen, strict=True))


def _label(settings: Mapping[str, Setting]) -> str:
    """The name of a job: each axis by the last part of its key, if no other has it, and its value."""
    ends = Counter(axis.rpartition(".")[2] for axis in settings)
    parts = []
    for axis, setting in settings.items():
        end = axis.rpartition(".")[2]
        parts.append(f"{end if ends[end] == 1 else axis}={_safe(setting.value)}")
    name = ",".join(parts)
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.blake2b(name.encode(), digest_size=4).hexdigest()
    return f"{name[:_LONGEST_NAME]}-{digest}"


def _safe(value: Any) -> str:
    """A value as a part of a file's name: of a path the last part."""
    text = value_text(value).strip("'")
    text = text.rstrip("/").rpartition("/")[2] if isinstance(value, str) else text
    return re.sub(r"[^\w.+=-]+", "-", text).strip("-") or "-"


def _refuse_duplicates(jobs: Sequence[JobRecord]) -> None:
    faults = [
        f"{name}: {count} jobs have this name; leave out what is there twice, or name the values of the axis:"
        " {name: {key: value}}"
        for name, count in Counter(job.name for job in jobs).items()
        if count > 1
    ]
    names: dict[tuple[str, ...], str] = {}
    for job in jobs if not faults else ():
        key = (job.role, *sorted(job.overrides))
        if key in names:
            faults.append(f"{job.name}: is the same run as {names[key]}; leave one of them out")
        names.setdefault(key, job.name)
    if faults:
        raise InputError("\n".join(faults))
