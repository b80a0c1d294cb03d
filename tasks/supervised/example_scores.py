"""The score of each example of a split, as a file: `predictions/<split>_scores.json` in a run's directory.

Two models can be compared on the same examples with it (see `experiments.compare`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from elmo.errors import InputError, reason_of
from elmo.files import atomic_write, json_text
from elmo.json_file import read_json


@dataclass(frozen=True)
class ExampleScores:
    """The scores of N examples.

    Attributes:
        ids: the N examples' names, in the order of the data.
        scores: N scores by the name of a metric, whose value on the split is their mean; in percent, but for
            errors.
        ratios: N numerators and N denominators by the name of a metric, whose value on the split is the ratio
            of their sums, in percent: of F1 twice the number of right spans, and that of all gold and
            predicted ones.
    """

    ids: Sequence[str]
    scores: Mapping[str, Sequence[float] | np.ndarray]
    ratios: Mapping[str, Sequence[Sequence[float]] | np.ndarray] = field(default_factory=dict)


def write_example_scores(path: Path, split: str, found: ExampleScores) -> None:
    """Write the file into a run's directory; InputError if the disk is full."""
    content = {
        "ids": list(found.ids),
        "scores": {name: list(values) for name, values in found.scores.items()},
        "ratios": {name: [list(values) for values in both] for name, both in found.ratios.items()},
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
    content = read_json(file)
    if not isinstance(content, dict) or content.keys() - {"ratios"} != {"ids", "scores"}:
        raise InputError(f"{file}: expected an object with ids and scores")
    ids, scores, ratios = content["ids"], content["scores"], content.get("ratios", {})
    if not isinstance(ids, list) or not isinstance(scores, dict) or not isinstance(ratios, dict):
        raise InputError(f"{file}: expected a list of ids, and scores by the name of a metric")
    # Whole lists are checked at once: there may be thousands of files with thousands of scores.
    return ExampleScores(
        ids,
        {name: _numbers(f"{file}: {name}", scores[name], (len(ids),)) for name in scores},
        {name: _numbers(f"{file}: {name}", ratios[name], (2, len(ids))) for name in ratios},
    )


def _numbers(place: str, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    """An array of this shape, float64."""
    try:
        found = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{place}: expected a list of numbers ({reason_of(error)})") from error
    if found.shape != shape:
        told = f"numbers of shape {list(shape)}, one for each of {shape[-1]:,} ids"
        raise InputError(f"{place}: expected {told}, got {list(found.shape)}")
    return found


def _file(path: Path, split: str) -> Path:
    return path / "predictions" / f"{split}_scores.json"
