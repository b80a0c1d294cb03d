"""A study of Optuna's, on which several commands may work: it gives out trials and notes how they ended."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from elmo.errors import InputError
from elmo.files import is_running
from elmo.registry import REGISTRY
from experiments.tune.components.samplers import Sampler
from experiments.tune.space import Space
from experiments.tune.storage import open_storage, storage_faults

# Attributes of a trial in the storage.
OWNER = "owner"  # the host and the process that runs it
ALIVE = "alive"  # when that process last said so
VALUES = "values"  # the text of each key's value
EVALUATIONS = "evaluations"  # the step and the score of each
REASON = "reason"  # why it failed
ATTEMPTS = "attempts"
QUESTION = "question"  # of the study: what makes its trials comparable

BEAT_SECONDS, STALE_SECONDS = 30.0, 180.0
MOST_ATTEMPTS = 3  # at values whose process has gone without a word

State = Literal["complete", "pruned", "failed", "running", "waiting"]
_STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


@dataclass(frozen=True)
class Trial:
    """A trial as the study knows it.

    Attributes:
        index: from 0.
        values: the text of each key's value, where one was drawn.
        value: of the objective; of a pruned trial the last score.
        reason: why it failed.
        num_evaluations: on dev.
        seconds: from its start to its end.
    """

    index: int
    trial_id: int
    state: State
    values: dict[str, str]
    value: float | None
    reason: str | None
    num_evaluations: int
    seconds: float | None

    @property
    def name(self) -> str:
        """That of its directory."""
        return f"trial-{self.index:04d}"


class Study:
    """Gives out the trials of a study, up to a number of them in all, and concludes those that ended.

    The values of the trial with index i are drawn with random numbers of (sampler.seed, i): a study that was
    interrupted goes on as if it had not been, and the trials of a random search are the same for any number
    of workers. What the other samplers draw depends on the trials that have ended by then. A trial whose
    process was interrupted, or has gone, waits for another process, which goes on with its run.

    Args:
        url: of the storage.
        name: of the study there.
        is_minimized: whether less of the objective is better.
        question: what makes trials comparable, by key; it must be as that of the study's start.
        space: of the values.
        sampler, pruner: config nodes.
        num_trials: in all.

    Raises:
        InputError: the storage cannot be used, or the study began with another question.
    """

    def __init__(
        self,
        *,
        url: str,
        name: str,
        is_minimized: bool,
        question: Mapping[str, Any],
        space: Space,
        sampler: Mapping[str, Any],
        pruner: Mapping[str, Any] | None,
        num_trials: int,
    ) -> None:
        self.url, self.name, self.is_minimized = url, name, is_minimized
        self.space, self.num_trials = space, num_trials
        self.pruner_node = json.dumps({"type": "none"} if pruner is None else pruner)
        self._owner = [socket.gethostname(), os.getpid()]
        self._own: dict[int, float] = {}  # when each trial that runs here was last said to be alive
        described: Sampler = REGISTRY.build("sampler", sampler)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        storage = open_storage(url, new=True)
        with storage_faults(url):
            self.optuna = optuna.create_study(
                study_name=name,
                storage=storage,
                direction="minimize" if is_minimized else "maximize",
                load_if_exists=True,
                sampler=_SeededSampler(described),
            )
            self._take_question(json.loads(json.dumps(question)))

    def _take_question(self, question: dict[str, Any]) -> None:
        before = self.optuna.user_attrs.get(QUESTION)
        if before is None:
            self.optuna.set_user_attr(QUESTION, question)
        elif before != question:
            changed = sorted(
                key for key in before.keys() | question.keys() if before.get(key) != question.get(key)
            )
            raise InputError(
                f"{', '.join(changed)}: not what the study {self.name} began with, and its trials could not"
                " be compared; give the new study a name of its own: name=..."
            )

    def next(self) -> Trial | None:
        """A trial to run, its values drawn; None: the study has as many as it shall have."""
        with storage_faults(self.url):
            self._release_stale()
            if self._num_begun() >= self.num_trials:
                return None
            trial = self.optuna.ask()  # one that waits, or a new one
            if self._num_begun(before=trial.number) >= self.num_trials:  # another command was faster
                self._release(trial._trial_id)
                return None
            trial.set_user_attr(OWNER, self._owner)
            trial.set_user_attr(ALIVE, time.time())
            trial.set_user_attr(VALUES, self.space.draw(trial))
            self._own[trial._trial_id] = time.monotonic()
            return _read(self._frozen(trial._trial_id))

    def conclude(self, trial: Trial, *, reason: str | None) -> Trial:
        """What has become of a trial whose process has ended.

        Args:
            trial: as `next` gave it.
            reason: why the process has ended, if the trial says nothing itself; None: it was stopped, and its
                values are tried again.
        """
        self._own.pop(trial.trial_id, None)
        with storage_faults(self.url):
            frozen = self._frozen(trial.trial_id)
            if frozen.state is TrialState.RUNNING and reason is None:
                self._release(trial.trial_id)
            elif frozen.state is TrialState.RUNNING and reason is not None:
                fail(self.optuna, frozen, reason)
            return _read(self._frozen(trial.trial_id))

    def beat(self) -> None:
        """Say that the trials of this process are alive, if it is time to."""
        now = time.monotonic()
        due = [trial_id for trial_id, said in self._own.items() if now - said >= BEAT_SECONDS]
        with storage_faults(self.url):
            for trial_id in due:
                self.optuna._storage.set_trial_user_attr(trial_id, ALIVE, time.time())
                self._own[trial_id] = now

    def trials(self) -> list[Trial]:
        """All trials that have begun and do not wait to go on, by index."""
        with storage_faults(self.url):
            trials = self.optuna.get_trials(deepcopy=False)
        return [_read(trial) for trial in trials if trial.state is not TrialState.WAITING]

    def best(self) -> Trial | None:
        """The complete trial with the best value; the first of several."""
        complete = [trial for trial in self.trials() if trial.state == "complete"]
        sign = 1 if self.is_minimized else -1
        return min(complete, key=lambda trial: sign * float(trial.value or 0.0), default=None)

    def _frozen(self, trial_id: int) -> FrozenTrial:
        return self.optuna._storage.get_trial(trial_id)

    def _num_begun(self, before: int | None = None) -> int:
        """The trials that do not wait, of those with a lower number than `before`."""
        trials = self.optuna.get_trials(deepcopy=False)
        return sum(
            trial.state is not TrialState.WAITING
            for trial in trials
            if before is None or trial.number < before
        )

    def _release(self, trial_id: int) -> None:
        """Let a trial wait for a process that goes on with its run; it keeps its values and scores."""
        self.optuna._storage.set_trial_state_values(trial_id, TrialState.WAITING)

    def _release_stale(self) -> None:
        """Release the trials whose process has gone; one that this has happened to too often has failed."""
        for trial in self.optuna.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if trial._trial_id in self._own or not _is_stale(trial, self._owner):
                continue
            attempts = int(trial.user_attrs.get(ATTEMPTS, 1))
            if attempts >= MOST_ATTEMPTS:
                fail(self.optuna, trial, f"its process has gone without a word, {attempts} times")
            else:
                self.optuna._storage.set_trial_user_attr(trial._trial_id, ATTEMPTS, attempts + 1)
                self._release(trial._trial_id)


def fail(study: optuna.Study, trial: FrozenTrial | optuna.Trial, reason: str) -> None:
    """Note that a trial failed, and why."""
    trial_id = trial._trial_id
    study._storage.set_trial_user_attr(trial_id, REASON, reason)
    study.tell(trial.number, state=TrialState.FAIL)


def _is_stale(trial: FrozenTrial, own: Sequence[Any]) -> bool:
    """Whether the process that runs a trial has gone, or has not been heard of for long."""
    host, process_id = trial.user_attrs.get(OWNER, (None, None))
    if host == own[0] and process_id is not None and not is_running(process_id):
        return True
    begun = trial.datetime_start.timestamp() if trial.datetime_start is not None else 0.0
    return time.time() - float(trial.user_attrs.get(ALIVE, begun)) > STALE_SECONDS


def _read(trial: FrozenTrial) -> Trial:
    begun, ended = trial.datetime_start, trial.datetime_complete
    return Trial(
        index=trial.number,
        trial_id=trial._trial_id,
        state=_STATES[trial.state],
        values=dict(trial.user_attrs.get(VALUES, {})),
        value=trial.value if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) else None,
        reason=trial.user_attrs.get(REASON),
        num_evaluations=len(trial.user_attrs.get(EVALUATIONS, ())),
        seconds=(ended - begun).total_seconds() if begun is not None and ended is not None else None,
    )


class _SeededSampler(BaseSampler):
    """A new sampler for each trial, whose seed follows from the trial's number."""

    def __init__(self, described: Sampler) -> None:
        self._described, self._sampler = described, described.create(seed=described.seed)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        words = np.random.SeedSequence([self._described.seed, trial.number]).generate_state(1)
        self._sampler = self._described.create(seed=int(words[0]))
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._sampler.after_trial(study, trial, state, values)
