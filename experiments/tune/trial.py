"""The work of a trial's process: a run that tells the study its scores on dev, and how it ended.

A server process imports this module, and with it torch and Optuna, before it makes a process for each trial.
"""

from __future__ import annotations

import json
import math
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import optuna
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from elmo.errors import InputError
from elmo.registry import REGISTRY
from experiments import train
from experiments.config.check import COMPONENT_PACKAGES
from experiments.config.command import BAD_INPUT, INTERRUPTED
from experiments.config.single_job import run_job
from experiments.tune.storage import StorageError, open_storage, storage_faults
from experiments.tune.study import EVALUATIONS, fail

REGISTRY.discover(*COMPONENT_PACKAGES)  # once in the server process, instead of in each trial's


class Address(NamedTuple):
    """Where a trial's process finds its trial, as texts.

    Attributes:
        url: of the storage.
        study: its name there.
        trial_id: in the storage.
        pruner: its config node, as JSON.
    """

    url: str
    study: str
    trial_id: str
    pruner: str


class Judge:
    """Tells the study each score of a trial, and whether the pruner lets the trial go on.

    Attributes:
        is_pruned: whether it does not.
    """

    def __init__(self, address: Address) -> None:
        self._url = address.url
        storage = open_storage(address.url)
        with storage_faults(address.url):
            self.study = optuna.load_study(
                study_name=address.study,
                storage=storage,
                sampler=RandomSampler(),  # nothing is drawn here
                pruner=REGISTRY.build("pruner", json.loads(address.pruner)).create(),
            )
            self.trial = optuna.Trial(self.study, int(address.trial_id))
        self.is_pruned = False

    def __call__(self, step: int, score: float) -> bool:
        """Whether the run goes on after an evaluation; one that was told before is not told again."""
        with storage_faults(self._url):
            told = self.trial.user_attrs.get(EVALUATIONS, [])
            if step not in [before for before, _ in told]:
                self.trial.set_user_attr(EVALUATIONS, [*told, [step, score]])
                self.trial.report(score, len(told) + 1)
            self.is_pruned = self.trial.should_prune()
        return not self.is_pruned

    def conclude(self, value: float | None, reason: str | None) -> None:
        """Tell the study the value of the objective, that the trial was pruned, or why it failed."""
        with storage_faults(self._url):
            if reason is not None:
                fail(self.study, self.trial, reason)
            elif self.is_pruned:
                self.study.tell(self.trial, state=TrialState.PRUNED)
            else:
                self.study.tell(self.trial, value)


def run_trial(arguments: Sequence[str]) -> int:
    """Runs a trial: the arguments are the parts of its `Address`, and behind them those of the training.

    Returns the exit code: 0 for one that is complete or pruned, 2 for one that failed, 130 for one that was
    interrupted or whose storage has gone, of which the study is told nothing. What else is raised, such as
    for want of memory, ends the process; the search takes its last line for the reason.
    """
    given = len(Address._fields)
    overrides = list(arguments[given:])
    sys.modules["__main__"], sys.argv = train, ["experiments.train", *overrides]  # for the run's record
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    try:
        judge = Judge(Address(*arguments[:given]))
        value, reason = _outcome(overrides, judge)
        judge.conclude(value, reason)
    except (StorageError, KeyboardInterrupt) as error:
        print(error)
        return INTERRUPTED
    return 0 if reason is None else BAD_INPUT


def _outcome(overrides: list[str], judge: Judge) -> tuple[float | None, str | None]:
    """The value of the objective, and why the run failed; neither of a run that was pruned.

    Raises:
        KeyboardInterrupt: the run was stopped.
        StorageError: a score could not be told.
    """

    def job(config: Any, texts: list[str]) -> float | None:
        return train.main(config, texts, judge=judge)

    try:
        value = run_job(job, config_name="train", arguments=overrides)
    except KeyboardInterrupt:
        if judge.is_pruned:
            return None, None
        raise
    except StorageError:
        raise
    except InputError as error:
        print(error)
        return None, str(error)
    if value is None or not math.isfinite(value):
        return None, f"the objective is {'missing' if value is None else value}: no number to compare"
    return value, None
