"""The score of each example of a split, as a file: `predictions/<split>_scores.json` in a run's directory.

Two models can be compared on the same examples with it (see `experiments.compare`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from elmo.errors import InputError
from elmo.files import atomic_write, json_text
from elmo.json_file import read_json
from elmo.values import read_record


@dataclass(frozen=True)
class ExampleScores:
    """The scores of N examples.

    Attributes:
        ids: the N examples' names, in the order of the data.
        scores: N scores in percent by the name of a metric, whose value on the split is their mean.
    """

    ids: Sequence[str]
    scores: Mapping[str, Sequence[float]]


def write_example_scores(path: Path, split: str, found: ExampleScores) -> None:
    """Write the file into a run's directory; InputError if the disk is full."""
    content = {
        "ids": list(found.ids),
        "scores": {name: list(values) for name, values in found.scores.items()},
    }
    with atomic_write(_file(path, split)) as aside:
        aside.write_text(json_text(content) + "\n", encoding="utf-8")


def read_example_scores(path: Path, split: str) -> ExampleScores | None:
    """What `write_example_scores` wrote into a run's directory; None: there is no such file.

    Raises:
        InputError: the file is damaged.
    """
    file = _file(path, split)
    if not file.is_file():
        return None
    found = read_record(ExampleScores, read_json(file), name=str(file))
    for name, values in found.scores.items():
        if len(values) != len(found.ids):
            raise InputError(f"{file}: {len(found.ids):,} examples, but {len(values):,} scores of {name}")
    return found


def _file(path: Path, split: str) -> Path:
    return path / "predictions" / f"{split}_scores.json"
