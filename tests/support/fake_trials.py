"""Trials without training, and a launcher that runs them in this process, as they are awaited."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

from experiments.config.command import INTERRUPTED
from experiments.sweep.launchers.launcher import Ended, Launcher, Run
from experiments.training.stop import Stop
from experiments.tune.search import Search
from experiments.tune.space import read_space
from experiments.tune.storage import StorageError
from experiments.tune.study import Study
from experiments.tune.trial import Address, Judge

SPACE = {
    "head": "choice(pooled,bilstm)",
    "rate": "tag(log,interval(1e-4,1))",
    "size": {"when": "head=bilstm", "value": "range(8,65,step=8)"},
}
Objective = Callable[[Mapping[str, str]], Sequence[float] | Exception | int]


class Launch(Launcher):
    """Runs a trial at the time when its end is asked for; several may have begun before.

    Args:
        num_slots: trials at a time.
        interrupt_at: Ctrl-C comes when so many trials have begun.
    """

    def __init__(self, num_slots: int = 1, interrupt_at: int | None = None) -> None:
        self._slots, self._begun = num_slots, list[tuple[Run, Sequence[str], Path]]()
        self._interrupt_at, self._interrupted = interrupt_at, False
        self.started: list[list[str]] = []

    def has_room(self) -> bool:
        return len(self._begun) < self._slots

    def num_slots(self) -> int:
        return self._slots

    def num_threads(self) -> int:
        return 1

    def start(self, run: Run, arguments: Sequence[str], path: Path) -> None:
        self.started.append(list(arguments))
        self._begun.append((run, arguments, path))
        if len(self.started) == self._interrupt_at:
            signal.raise_signal(signal.SIGINT)
            self._interrupted = True

    def wait(self, seconds: float) -> list[Ended]:
        run, arguments, path = self._begun.pop(0)
        try:
            return [Ended(path, INTERRUPTED if self._interrupted else run(arguments))]
        except StorageError:
            return [Ended(path, INTERRUPTED)]

    def interrupt(self) -> None:
        self._interrupted = True

    def close(self) -> None:
        self._begun.clear()


def values_of(arguments: Sequence[str]) -> dict[str, str]:
    """The values of the overrides of a trial's run."""
    return dict(text.partition("=")[::2] for text in arguments[len(Address._fields) :])


def run_of(objective: Objective, storage: Any = None) -> Run:
    """A trial's work that reports the scores of an objective to a storage; the last one is its value.

    An exception is a failure; an int is the exit code of a process that says nothing. Opening a storage
    takes time, which one that is given saves.
    """

    def run(arguments: Sequence[str]) -> int:
        scores = objective(values_of(arguments))
        if isinstance(scores, int):
            return scores
        given = mock.patch("experiments.tune.trial.open_storage", lambda url: storage)
        with nullcontext() if storage is None else given:
            judge = Judge(Address(*arguments[: len(Address._fields)]))
        if isinstance(scores, Exception):
            judge.conclude(None, str(scores))
            return 2
        goes_on = all(judge(10 * number, score) for number, score in enumerate(scores, 1))
        judge.conclude(scores[-1] if goes_on else None, None)
        return 0

    return run


def make_study(path: Path, **changes: Any) -> Study:
    """A study of the space above in a file of `path`, with some arguments changed."""
    entries = changes.pop("entries", SPACE)
    given: dict[str, Any] = {
        "url": f"sqlite:///{path / 'study.db'}",
        "name": "study",
        "is_minimized": False,
        "question": {f"space.{key}": entry for key, entry in entries.items()},
        "space": read_space(entries),
        "sampler": {"type": "random", "seed": 1},
        "pruner": None,
        "num_trials": 6,
    }
    return Study(**{**given, **changes})


def search(study: Study, path: Path, objective: Objective, launch: Launch | None = None) -> Launch:
    """Run a study's trials, and return the launcher."""
    launch, stop = launch or Launch(), Stop()
    found = Search(
        study,
        launcher=launch,
        run=run_of(objective, study.optuna._storage),
        path=path,
        overrides=["seed=1"],
        options=[],
        stop=stop,
        metric="dev/accuracy",
        changed=lambda: None,
    )
    with stop.on_signals():
        found.run()
    return launch


def outcomes(study: Study) -> list[tuple[str, float | None]]:
    """The state and the value of each trial, in their order."""
    return [(trial.state, trial.value) for trial in study.trials()]
