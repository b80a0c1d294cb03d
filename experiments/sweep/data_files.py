"""Local files of data sets for the jobs of a sweep: where they lie, by the option of `data`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from elmo.errors import InputError, shown
from experiments.config.save import read_yaml
from experiments.sweep.overrides import merged, override_texts, read_value

DataFiles = dict[str, list[str]]  # overrides by the option of `data`


def read_data_files(path: Path) -> DataFiles:
    """The overrides of each data set, such as `data.train=...` of `sick: {train: ...}`.

    Raises:
        InputError: the file cannot be read, or is no mapping of mappings.
    """
    found = {}
    for option, values in read_yaml(path).items():
        if not isinstance(values, Mapping):
            raise InputError(
                f"{path}: {option}: expected a mapping such as {{train: FILE}}, got {shown(values)}"
            )
        found[option] = override_texts({"data": values})
    return found


def with_data_files(overrides: Sequence[str], files: DataFiles) -> list[str]:
    """The overrides of a job with the files of the data set that it chooses; what it gives itself stays."""
    chosen: list[Any] = [read_value(text.partition("=")[2]) for text in overrides if text.startswith("data=")]
    return merged(files.get(chosen[-1], []), overrides) if chosen else list(overrides)
