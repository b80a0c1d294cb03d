"""Runs the trials of a study side by side, and prints what becomes of each."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from elmo.errors import InputError
from experiments.config.command import INTERRUPTED
from experiments.logging.evaluations import number
from experiments.sweep.engine import await_free, last_line, note_failure, reason_of
from experiments.sweep.launchers.launcher import OUTPUT_FILE, Ended, Launcher, Run
from experiments.sweep.overrides import merged, value_text
from experiments.training.stop import Stop
from experiments.tune.study import Study, Trial

INTERRUPTIONS = (INTERRUPTED, -signal.SIGINT, -signal.SIGTERM)  # exit codes of a trial that goes on later
MOST_FAILURES = 3  # at the start of a study, and nothing else
POLL_SECONDS = 0.2
IDLE_SECONDS = 5.0  # between two looks whether another command has left a trial


class Search:
    """Runs trials until the study has all that it shall have.

    Args:
        study: gives them out.
        launcher: of their processes; closed by the caller.
        run: the work of a process, as `run_trial`.
        path: the study's directory, below which each trial has its own.
        overrides: those of all trials.
        options: further arguments, such as `--config-dir=...`.
        stop: ends the search: trials under way are interrupted, and go on when it is started again.
        metric: the name of the objective.
        changed: called after each trial's end.
    """

    def __init__(
        self,
        study: Study,
        *,
        launcher: Launcher,
        run: Run,
        path: Path,
        overrides: Sequence[str],
        options: Sequence[str],
        stop: Stop,
        metric: str,
        changed: Callable[[], None],
    ) -> None:
        self._study, self._launcher, self._run, self._path = study, launcher, run, path
        self._overrides, self._options = list(overrides), list(options)
        self._stop, self._metric, self._changed = stop, metric, changed
        self._running: dict[Path, Trial] = {}
        self._seconds: list[float] = []
        self._look_at = 0.0  # when the study is asked again

    def run(self) -> None:
        """Run the trials.

        Raises:
            InputError: the storage has gone, or another process writes where a trial's run is, or the first
                trials have all failed. Trials under way have saved a checkpoint first.
        """
        try:
            self._run_all()
        except InputError:
            self._launcher.interrupt()
            while self._running:
                for ended in self._launcher.wait(POLL_SECONDS):
                    self._running.pop(ended.path)
            raise

    def _run_all(self) -> None:
        is_stopping = False
        while True:
            if self._stop.reason is not None and not is_stopping:
                is_stopping = True
                self._launcher.interrupt()
            while not is_stopping and self._launcher.has_room() and time.monotonic() >= self._look_at:
                self._start_next()
            if not self._running:
                return
            for ended in self._launcher.wait(POLL_SECONDS):
                self._conclude(ended)
            self._study.beat()

    def _start_next(self) -> None:
        trial = self._study.next()
        if trial is None:
            self._look_at = time.monotonic() + IDLE_SECONDS
            return
        path = self._path / trial.name
        path.mkdir(parents=True, exist_ok=True)
        await_free(path)
        study = [self._study.url, self._study.name, str(trial.trial_id), self._study.pruner_node]
        place = [f"output_dir={value_text(str(path))}", "resume=auto"]
        arguments = [*study, *overrides_of(self._overrides, trial), *place, *self._options]
        self._running[path] = trial
        self._launcher.start(self._run, arguments, path)

    def _conclude(self, ended: Ended) -> None:
        trial = self._running.pop(ended.path)
        self._look_at = 0.0
        is_stopped = self._stop.reason is not None or ended.exit_code in INTERRUPTIONS
        told = last_line(ended.path / OUTPUT_FILE, 0)
        reason = None if is_stopped else ended.reason or reason_of(ended.exit_code, told)
        trial = self._study.conclude(trial, reason=reason)
        if trial.state == "failed" and trial.reason is not None:
            note_failure(ended.path, reason=trial.reason, exit_code=ended.exit_code)
        self._changed()
        print(self._line(trial), flush=True)
        self._refuse_failures()

    def _refuse_failures(self) -> None:
        """Do not try every trial where none has come to an end; InputError."""
        ended = [trial for trial in self._study.trials() if trial.state != "running"]
        failed = [trial for trial in ended if trial.state == "failed"]
        if len(failed) == len(ended) == MOST_FAILURES and self._stop.reason is None:
            raise InputError(
                f"all of the first {MOST_FAILURES} trials have failed, the last one: {failed[-1].reason};"
                " mend that, and start again under another name=..., as these trials count"
            )

    def _line(self, trial: Trial) -> str:
        """What became of a trial, the best one so far, and how far the study is."""
        told = "" if trial.value is None else f": {self._metric} {number(trial.value)}"
        if trial.state == "pruned":
            told += f" after {trial.num_evaluations} evaluations"
        if trial.reason is not None:
            told = f": {trial.reason}"
        if trial.state == "waiting":
            return f"stopped  {trial.name}; it goes on when the study does"
        if trial.state == "complete" and trial.seconds is not None:
            self._seconds.append(trial.seconds)
        trials, best = self._study.trials(), self._study.best()
        parts = [f"{trial.state:<8} {trial.name}{told} ({' '.join(assignments(trial))})"]
        if best is not None:
            parts.append(f"best {best.name}, {number(best.value or 0.0)}")
        num_done = sum(one.state != "running" for one in trials)
        parts.append(f"{num_done} of {self._study.num_trials}{self._time_left(num_done)}")
        return "; ".join(parts)

    def _time_left(self, num_done: int) -> str:
        """By the mean time of complete trials of this command; empty before the first."""
        num_left = self._study.num_trials - num_done
        if not self._seconds or num_left <= 0:
            return ""
        mean = sum(self._seconds) / len(self._seconds)
        minutes = math.ceil(num_left / self._launcher.num_slots()) * mean / 60
        return f", about {math.ceil(minutes)} min left"


def assignments(trial: Trial) -> list[str]:
    """The values of a trial as overrides."""
    return [f"{key}={text}" for key, text in trial.values.items()]


def overrides_of(common: Sequence[str], trial: Trial) -> list[str]:
    """The overrides of a trial's run, without its directory."""
    return merged(common, assignments(trial))
