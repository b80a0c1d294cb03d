"""Reads what a run has left in its directory, fast: nothing is composed or built, as runs may be many."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml  # type: ignore[import-untyped]

from elmo.errors import InputError, shown_with_type
from elmo.json_file import parse_json, read_json
from experiments.config.save import choices_in
from experiments.io.run_directory import RunDirectory
from tasks.supervised.example_scores import ExampleScores, read_example_scores

FAILURE = "failure.json"  # what a sweep notes of a job that failed
_MAPPINGS_OF_START = ("git", "packages", "data_fingerprints", "files", "config")
State = Literal["finished", "unfinished", "failed"]
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is ten times as fast


@dataclass(frozen=True)
class RunRecord:
    """What a run has left.

    Attributes:
        path: its directory.
        config: all values of its config.yaml; empty if the run never got so far.
        choices: the chosen option of each group; None: an earlier version did not save them.
        starts: its starts in their order, as environment.json has them.
        figures: its final figures by metric name, None for one that was not finite; empty without an end.
        state: `finished` with final figures, `failed` where a sweep has noted why, or `unfinished`.
        failure: that note.
    """

    path: Path
    config: dict[str, Any]
    choices: dict[str, Any] | None
    starts: list[dict[str, Any]]
    figures: dict[str, float | None]
    state: State
    failure: dict[str, Any] | None

    @property
    def fingerprints(self) -> dict[str, str]:
        """The fingerprints of the data by split, of the last start; empty if there is none."""
        return dict(self.starts[-1].get("data_fingerprints") or {}) if self.starts else {}

    def section(self, name: str) -> dict[str, Any]:
        """The values of a section of the config; empty if there is none."""
        values = self.config.get(name)
        return values if isinstance(values, dict) else {}

    def events(self) -> list[dict[str, Any]]:
        """The events of metrics.jsonl in their order; a last line that a kill left unfinished is left out.

        Raises:
            InputError: another line is damaged.
        """
        path = RunDirectory(self.path).metrics_log_path
        return list(_events(path)) if path.is_file() else []

    def predictions(self, split: str) -> ExampleScores | None:
        """The scores of each example of a split; None if the run has stored none."""
        return read_example_scores(self.path, split)


def read_run(path: Path) -> RunRecord:
    """The record of the run in a directory, finished or not.

    Raises:
        InputError: no run is there, or one of its files is damaged.
    """
    run, failure_path = RunDirectory(path), path / FAILURE
    if not run.config_path.is_file() and not failure_path.is_file():
        raise InputError(f"{path}: no run is there (no config.yaml)")
    config = _read_config(run.config_path) if run.config_path.is_file() else {}
    defaults = config.pop("defaults", None)
    failure = _read_mapping(failure_path)
    starts = _read_starts(run.environment_path)
    figures = _read_mapping(run.metrics_path)
    for name, value in figures.items():
        if not isinstance(value, (int, float, type(None))):
            raise InputError(f"{run.metrics_path}: {name}: expected a number, got {shown_with_type(value)}")
    return RunRecord(
        path=path,
        config=config,
        choices=None if defaults is None else dict(choices_in(defaults, run.config_path)),
        starts=starts,
        figures=figures,
        state="finished" if figures else "failed" if failure else "unfinished",
        failure=failure or None,
    )


def find_runs(globs: Sequence[str]) -> list[Path]:
    """The directories of runs that match some glob, each once, sorted; `**` stands for any depth.

    Raises:
        InputError: no run matches one of the globs.
    """
    found: set[Path] = set()
    for pattern in globs:
        places = [Path(place) for place in glob.iglob(str(Path(pattern).expanduser()), recursive=True)]
        runs = {path for path in places if holds_record(path)}
        if not runs:
            what = f"none of {len(places):,} matches is a run" if places else "nothing is there"
            raise InputError(f"{pattern}: {what}; give directories with a config.yaml, such as 'runs/*'")
        found |= runs
    return sorted(found)


def holds_record(path: Path) -> bool:
    """Whether a run has begun, or failed to begin, in this directory."""
    return (path / "config.yaml").is_file() or (path / FAILURE).is_file()


def flatten(values: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """The values of nested mappings by their dotted keys; lists and empty mappings are values."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{where}{key}.")
        else:
            flat[f"{where}{key}"] = value
    return flat


def _read_config(path: Path) -> dict[str, Any]:
    try:
        values = yaml.load(path.read_bytes(), _Loader)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: cannot be read as a config ({reason})") from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise InputError(f"{path}: cannot be read as a config (no mapping of keys)")
    return values


def _read_starts(path: Path) -> list[dict[str, Any]]:
    starts = _read_mapping(path).get("starts", [])
    if not isinstance(starts, list) or not all(isinstance(start, dict) for start in starts):
        raise InputError(f"{path}: expected a list of starts")
    for start in starts:
        for key in _MAPPINGS_OF_START:
            if not isinstance(start.get(key), (dict, type(None))):
                raise InputError(f"{path}: {key}: expected an object, got {shown_with_type(start[key])}")
    return starts


def _read_mapping(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty if there is no such file."""
    if not path.is_file():
        return {}
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected an object with keys")
    return content


def _events(path: Path) -> Iterator[dict[str, Any]]:
    lines = path.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        if number == len(lines) and not line.endswith(b"\n"):
            return
        event = parse_json(line, name=f"{path}:{number}")
        if not isinstance(event, dict):
            raise InputError(f"{path}:{number}: expected an object with keys")
        yield event
