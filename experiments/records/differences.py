"""What differs between two runs: values of the config, what they ran on, figures, events."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from experiments.io.run_record import RunRecord, flatten

MISSING = "(none)"
# Figures of the clock and of the machine, which no repetition has again.
_OF_THE_MACHINE = ("seconds", "per_second", "memory_bytes", "num_threads")
# Values of a config that say where a run is and what it shows, and not what it computes.
_OF_THE_PLACE = ("name", "output_dir", "cache_dir", "resume", "dry_run")
_FACTS = (
    *("python", "torch", "platform", "cpu", "cores", "usable_cores", "memory_bytes", "accelerators"),
    *("device", "threads", "thread_variables", "data_fingerprints", "files"),
)
# Of these the last digits of a training's numbers depend, on one machine and from one checkpoint.
_OF_DIGITS = ("python", "torch", "cpu", "device", "threads")


class Difference(NamedTuple):
    """A value of two runs; `MISSING` where a run has none."""

    what: str
    first: Any
    second: Any


class FirstEvent(NamedTuple):
    """The first event that differs.

    Attributes:
        step: of the event.
        difference: of its first value that differs.
        num_events: events that differ.
    """

    step: int
    difference: Difference
    num_events: int


def is_repeatable(name: str) -> bool:
    """Whether a figure has to come again, as it is neither of the clock nor of the machine."""
    return not name.endswith(_OF_THE_MACHINE)


def config_differences(first: RunRecord, second: RunRecord) -> list[Difference]:
    """The keys whose values differ, without those that say where the runs are."""
    return _differences(_of_config(first), _of_config(second))


def environment_differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Difference]:
    """What differs between two starts: code, packages, machine, threads, data."""
    facts = [{key: start[key] for key in _FACTS if start.get(key) is not None} for start in (first, second)]
    found = _differences(_code(first), _code(second)) + _differences(_packages(first), _packages(second))
    return found + _differences(flatten(facts[0]), flatten(facts[1]))


def digit_differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Difference]:
    """What differs between two starts that may change the last digits of what is computed."""
    facts = []
    for start in (first, second):
        git = start.get("git")
        commit = str(git.get("commit", MISSING))[:7] if isinstance(git, Mapping) else MISSING
        facts.append({"commit": commit, **{key: start.get(key, MISSING) for key in _OF_DIGITS}})
    return _differences(*facts)


def figure_differences(first: RunRecord, second: RunRecord) -> list[Difference]:
    """The final figures that differ, without those of the clock and the machine."""
    figures = [
        {name: value for name, value in run.figures.items() if is_repeatable(name)} for run in (first, second)
    ]
    return _differences(*figures)


def first_event_that_differs(first: RunRecord, second: RunRecord) -> FirstEvent | None:
    """The first event whose values differ; None: all are the same."""
    events = [[_repeatable(event) for event in run.events()] for run in (first, second)]
    longest = max(map(len, events))
    for run in events:
        run.extend([{}] * (longest - len(run)))
    unlike = [pair for pair in zip(*events, strict=True) if pair[0] != pair[1]]
    if not unlike:
        return None
    one, other = unlike[0]
    step = one.get("step", other.get("step"))
    return FirstEvent(step, _differences(one, other)[0], len(unlike))


def _of_config(run: RunRecord) -> dict[str, Any]:
    chosen = {f"{group}=": option for group, option in (run.choices or {}).items()}
    flat = flatten({key: value for key, value in run.config.items() if key not in _OF_THE_PLACE})
    return chosen | flat


def _code(start: Mapping[str, Any]) -> dict[str, Any]:
    git = start.get("git") or {}
    found = {"commit": git.get("commit", MISSING)}
    if git.get("dirty"):
        diff = git.get("diff") or ""
        names = [line.rpartition(" b/")[2] for line in diff.splitlines() if line.startswith("diff --git ")]
        digest = hashlib.blake2b(diff.encode("utf-8", "replace"), digest_size=4).hexdigest()
        found["uncommitted changes"] = f"{', '.join(names) or 'yes'} ({digest})"
    return found


def _packages(start: Mapping[str, Any]) -> dict[str, Any]:
    return {f"package {name}": version for name, version in (start.get("packages") or {}).items()}


def _repeatable(event: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if is_repeatable(name)}


def _differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Difference]:
    keys = [*first, *(key for key in second if key not in first)]
    pairs = [Difference(key, first.get(key, MISSING), second.get(key, MISSING)) for key in keys]
    return [pair for pair in pairs if pair.first != pair.second]
