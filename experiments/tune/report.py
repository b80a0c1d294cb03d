"""What a study leaves beside its trials: sweep.json, the best values as an experiment, and a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from elmo.files import atomic_write
from experiments.config.save import with_absolute_paths
from experiments.logging.evaluations import number
from experiments.logging.progress import summary_table
from experiments.sweep.overrides import key_of, read_value
from experiments.sweep.record import JobRecord, SweepRecord, write_sweep
from experiments.tune.search import assignments, overrides_of
from experiments.tune.study import Trial

BEST_FILE = Path("experiment") / "best.yaml"  # below the study's directory
NUM_SHOWN = 10  # trials in the table


def write_record(
    path: Path,
    trials: Iterable[Trial],
    *,
    name: str,
    question: str | None,
    file: Mapping[str, Any],
    overrides: Sequence[str],
) -> None:
    """Write sweep.json into the study's directory: each trial with its values, state and objective."""
    jobs = [
        JobRecord(
            name=trial.name,
            axes={key: read_value(text) for key, text in trial.values.items()},
            overrides=overrides_of(overrides, trial),
            state=trial.state,
            value=trial.value,
        )
        for trial in trials
        if trial.state != "waiting"
    ]
    write_sweep(path, SweepRecord(name=name, kind="study", jobs=jobs, question=question, file=dict(file)))


def write_best(
    path: Path, trial: Trial, *, overrides: Sequence[str], groups: Sequence[str], told: str
) -> None:
    """Write a trial's values and the base as an option of the group `experiment`.

    Args:
        path: the study's directory.
        trial: the best one.
        overrides: the base.
        groups: the names of all groups, whose options are no values.
        told: a line about the trial.
    """
    chosen = {key_of(text): read_value(text.partition("=")[2]) for text in overrides_of(overrides, trial)}
    experiment = chosen.pop("experiment", None)
    defaults: list[Any] = [] if experiment is None else [experiment]
    defaults += [{f"override /{key}": value} for key, value in chosen.items() if key in groups]
    values = OmegaConf.create()
    for key, value in chosen.items():
        if key not in groups:
            OmegaConf.update(values, key, value, force_add=True)
    plain: Any = OmegaConf.to_container(values)
    content = {**({"defaults": defaults} if defaults else {}), **with_absolute_paths(plain)}
    usage = f"python -m experiments.train --config-dir={path} experiment={BEST_FILE.stem}"
    text = f"# @package _global_\n# {told}\n# {usage}\n{OmegaConf.to_yaml(OmegaConf.create(content))}"
    (path / BEST_FILE).parent.mkdir(exist_ok=True)
    with atomic_write(path / BEST_FILE) as aside:
        aside.write_text(text, encoding="utf-8")


def print_trials(trials: Sequence[Trial], *, metric: str, is_minimized: bool) -> None:
    """Print the best trials, complete ones first, and how many there are of each state."""
    sign = 1 if is_minimized else -1
    order = {"complete": 0, "pruned": 1, "running": 2, "failed": 3}
    ranked = sorted(trials, key=lambda one: (order[one.state], sign * (one.value or 0.0), one.index))
    rows: list[list[str | int | float | None]] = [
        [
            trial.name,
            trial.state,
            None if trial.value is None else number(trial.value),
            None if trial.seconds is None else round(trial.seconds),
            trial.reason if trial.reason is not None else " ".join(assignments(trial)),
        ]
        for trial in ranked[:NUM_SHOWN]
    ]
    if rows:
        print()
        summary_table(rows, columns=["trial", "state", metric, "seconds", "values"])
    counts = [
        f"{count} {state}" for state in order if (count := sum(one.state == state for one in trials)) > 0
    ]
    print(f"{len(trials)} trials{': ' * bool(counts)}{', '.join(counts)}")
