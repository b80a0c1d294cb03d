"""The training loop: forward, backward, clip, step, log; with evaluation, checkpoints, and an end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

import torch

from elmo.errors import InputError
from experiments.training.position import Limits, Periods, Position
from experiments.training.precision import products_in
from experiments.training.processes.agreement import Agreement
from experiments.training.saving.checkpoint import Checkpoints
from experiments.training.saving.generators import generator_states, restore_generators
from experiments.training.saving.training_state import TrainingState
from experiments.training.step import Figures, TrainingStep
from experiments.training.stop import Stop
from tasks.processes import Processes
from tasks.task import Batches, Training

Log = Callable[[int, Mapping[str, float]], None]  # step, values by metric name
Show = Callable[[int, int, float, float], None]  # step, units, loss, share of the run done


PAUSE = "its record"  # what stops a repeated run where the run was stopped


class Schedule(Protocol):
    """A learning rate schedule."""

    def factor(self, step: int, progress: float) -> float:
        """The factor on the learning rate, given the step from 0 and the share of the run that is done."""
        ...


class Trainer:
    """Trains a task's model until a limit, or until the metric stops improving.

    Args:
        training: the training of a task.
        optimizer: of its model; its learning rates are multiplied by the schedule.
        schedule: of the learning rates.
        limits: of the run.
        periods: of evaluating, saving and logging.
        accumulate_batches: batches whose gradients make one step.
        clip_norm: limit of the global norm of all gradients; None for none.
        dtype: of the matrix products; with torch.float32 nothing is cast.
        evaluation_dtype: the same in the evaluations on dev.
        metric: the score that decides on the best checkpoint and on stopping.
        is_minimized: whether less of it is better.
        patience: evaluations without a new best after which the run stops; None: it does not.
        checkpoints: where states are saved.
        stop: a request to save a checkpoint after the step under way, and to end.
        processes: that train together; None: this one alone.
        seed: of the random numbers of each process, if there are several.

    Attributes:
        steps: takes its steps.
        read_every: steps after which what they found out is read from the device.
        pause_step: the step after which it requests a stop by itself; None: it does not.
    """

    def __init__(
        self,
        *,
        training: Training,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        limits: Limits,
        periods: Periods,
        accumulate_batches: int,
        clip_norm: float | None,
        dtype: torch.dtype,
        metric: str,
        is_minimized: bool,
        patience: int | None,
        checkpoints: Checkpoints,
        stop: Stop,
        processes: Processes | None = None,
        seed: int = 0,
        evaluation_dtype: torch.dtype = torch.float32,
    ) -> None:
        self.training, self.optimizer, self.schedule = training, optimizer, schedule
        self.limits, self.periods = limits, periods
        self.accumulate_batches, self.evaluation_dtype = accumulate_batches, evaluation_dtype
        self.metric, self.is_minimized, self.patience = metric, is_minimized, patience
        self.checkpoints, self.stop = checkpoints, stop
        self.batches: Batches = training.batches()
        self.steps = TrainingStep(
            training=training,
            optimizer=optimizer,
            accumulate_batches=accumulate_batches,
            clip_norm=clip_norm,
            dtype=dtype,
            last_good=self._last_good,
            processes=processes,
            seed=seed,
        )
        self.processes = processes or Processes()
        self.agreement = Agreement(self.processes, stop)
        self.parameters, self.device = self.steps.parameters, self.steps.device
        self.read_every = 1 if self.device.type == "cpu" else periods.log_every
        self.position = Position()
        self.pause_step: int | None = None
        self._state = TrainingState(
            training=training,
            optimizer=optimizer,
            batches=self.batches,
            device=self.device,
            name=str(checkpoints.path),
        )
        self._started: float | None = None
        self._units_before = 0  # units when the step under way began
        self._last = Figures(math.nan, math.nan)  # of the last step that was read
        self._smoothed = math.nan  # the loss up to it
        self._saved_step = -1
        self._saved_at: float | None = None  # in this start, in seconds of the run
        self._begun = 0.0  # seconds of the run when this start began
        self._progress = 0.0  # up to which the shares of `Periods.keep_at` are done
        self._logged = (0, 0.0)  # units, and seconds of training, at the last event

    def run(self, *, show: Show, log: Log) -> dict[str, float]:
        """Train to the end and return the scores of the model that is kept: the best, if not the last.

        A step that is to be evaluated is saved before, so that a kill during a long evaluation loses nothing:
        the resumed run begins with the evaluation.

        Args:
            show: called after every step, for a progress bar.
            log: takes every event.

        Raises:
            NotFiniteError: the loss or the gradients' norm is not finite.
            InputError: the disk is full.
            KeyboardInterrupt: a stop was requested; the run can be resumed.
        """
        self.log = log
        self._started = time.monotonic() - self.position.seconds
        self.agreement.reach(self._own_seconds())
        self._begun = self.seconds()
        self._progress = self.progress()
        self._logged = (self.position.units, self.training_seconds())
        try:
            return self._run(show)
        finally:
            self.checkpoints.wait()

    def _run(self, show: Show) -> dict[str, float]:
        self._find_best()
        self.training.model.train()
        if self.position.is_evaluation_due:
            self._evaluate()
        while self.ended_by() is None:
            self._take_step()
            show(self.position.step, self.position.units, self._last.loss, min(1.0, self.progress()))
            if self.position.step == self.pause_step and self.ended_by() is None:
                self.stop.request(PAUSE)
            if self.position.step % self.read_every == 0:
                self.agreement.reach(self._own_seconds())
            self._log_step()
            self._save_and_evaluate()
            self.stop.obey()
        if self.position.evaluated_step != self.position.step:
            if self._saved_step != self.position.step:
                self._save()
            self._evaluate()
        self.position.seconds = self.seconds()
        return self._restore_best()

    def progress(self) -> float:
        """The share of the run that is done: the largest over its limits, 1 at the end."""
        return max(self._shares().values())

    def _shares(self) -> dict[str, float]:
        return self.limits.shares(
            steps=self.position.step,
            epochs=self.position.units / self.training.units_per_epoch,
            minutes=self.seconds() / 60,
        )

    def ended_by(self) -> str | None:
        """What ends the run here: a limit that is reached, or the patience; None: nothing yet."""
        key, share = max(self._shares().items(), key=lambda item: item[1])
        if share >= 1:
            return key
        if self.patience is not None and self.position.num_worse >= self.patience:
            return f"trainer.patience={self.patience}"
        return None

    def is_concluded(self) -> bool:
        """Whether there is no step left, and the last one is evaluated."""
        return self.ended_by() is not None and self.position.evaluated_step == self.position.step

    def seconds(self) -> float:
        """Time spent on this run, earlier starts included; what passes before `run` does not count."""
        agreed = self.agreement.seconds
        return self._own_seconds() if agreed is None else agreed

    def _own_seconds(self) -> float:
        return self.position.seconds if self._started is None else time.monotonic() - self._started

    def units_per_second(self) -> float:
        """The speed of training over all starts, evaluating and saving left out."""
        position = self.position
        return position.units / max(position.seconds - position.overhead_seconds, 1e-9)

    def training_seconds(self) -> float:
        """As `seconds`, evaluating and saving left out; right between two steps."""
        return self.seconds() - self.position.overhead_seconds

    def planned_steps(self) -> int | None:
        """Steps until the limits of steps and epochs; None if only time limits the run."""
        per_step = self.training.units_per_batch * self.accumulate_batches
        counts = [] if self.limits.steps is None else [self.limits.steps]
        if self.limits.epochs is not None:
            counts.append(math.ceil(self.limits.epochs * self.training.units_per_epoch / per_step))
        return min(counts, default=None)

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs to go on bit for bit."""
        self.position.seconds = self.seconds()
        return self._state.take(self.position, metric=self.metric)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's state, as if there had been no stop.

        Raises:
            InputError: the data is not what it was, or the metric none of the scores.
        """
        saved = self._state.give_back(state)
        position = saved.position
        if saved.metric != self.metric:  # values of two metrics cannot be compared
            position.best_value, position.num_worse = None, 0
        if position.last_scores:
            self._check_metric(position.last_scores)
        self.position, self._saved_step = position, position.step

    def _take_step(self) -> None:
        position = self.position
        self.steps.set_rates(self.schedule.factor(position.step, self.progress()))
        self._units_before = position.units
        position.units += self.steps.take(position.step + 1, self.batches)
        position.step += 1
        if position.step % self.read_every == 0 or math.isnan(self._last.loss):
            self._read_steps()

    def _read_steps(self) -> None:
        """Read the figures of the steps that were not read; NotFiniteError if one of them is not finite."""
        for figures in self.steps.read():
            self._last, self._smoothed = figures, self.position.smooth(figures.loss)

    def _last_good(self) -> str:
        try:
            return f"the last good checkpoint is {self.checkpoints.find('last')}"
        except InputError:
            return "no checkpoint was saved before"

    def _log_step(self) -> None:
        position = self.position
        if position.step % self.periods.log_every == 0:
            self._read_steps()
            self.log(
                position.step,
                {
                    self.training.unit: position.units,
                    "seconds": self.seconds(),
                    self.training.loss_name: self._last.loss,
                    f"{self.training.loss_name}_smoothed": self._smoothed,
                    "train/gradient_norm": self._last.norm,
                    "train/learning_rate": max(self.steps.rates),
                    "train/epochs": position.units / self.training.units_per_epoch,
                    f"train/{self.training.unit}_per_second": self._recent_speed(),
                },
            )

    def _recent_speed(self) -> float:
        """Units per second since the event before, evaluating and saving left out."""
        now = (self.position.units, self.training_seconds())
        (units, seconds), self._logged = self._logged, now
        return (now[0] - units) / max(now[1] - seconds, 1e-9)

    def _save_and_evaluate(self) -> None:
        """Save and evaluate after a step, if due; after a stop request, the resumed run evaluates."""
        self.checkpoints.check()
        shares = self._reached_shares()
        is_evaluation_due = self._is_due(self.periods.evaluate_every) or bool(shares)
        self.position.is_evaluation_due = is_evaluation_due
        is_stopping = self.stop.reason is not None
        is_save_due = self._is_due(self.periods.save_every) or self._is_save_late()
        if is_evaluation_due or is_save_due or is_stopping:
            self._save(shares)
        if is_evaluation_due and not is_stopping:
            self._evaluate()

    def _reached_shares(self) -> list[float]:
        """The shares of the run that this step has reached, of those whose checkpoints are kept."""
        before, self._progress = self._progress, self.progress()
        return [share for share in self.periods.keep_at if before < share <= self._progress]

    def _is_save_late(self) -> bool:
        """Whether the time of saving has come, by `Periods.save_every_minutes`."""
        before = self._begun if self._saved_at is None else self._saved_at
        return self.seconds() - before >= self.periods.seconds_to_save(is_first=self._saved_at is None)

    def _is_due(self, period: int | None) -> bool:
        if period is not None:
            return self.position.step % period == 0
        units = self.training.units_per_epoch
        return self.position.units // units > self._units_before // units

    def _evaluate(self) -> None:
        """Score the model, whose checkpoint is already saved, and add the scores to the checkpoint."""
        position, started = self.position, time.monotonic()
        self.checkpoints.wait()
        generators = generator_states(self.device)
        with self.stop.at_once():
            position.last_scores = self._score()
        restore_generators(generators, self.device)  # training goes on as if it had not been evaluated
        self._check_metric(position.last_scores)
        is_best = self._is_best(position.last_scores[self.metric])
        event = {self.training.unit: position.units, "seconds": self.seconds(), **position.last_scores}
        self.log(position.step, event)
        position.evaluated_step, position.is_evaluation_due = position.step, False
        position.seconds = self.seconds()
        position.overhead_seconds += time.monotonic() - started
        self.checkpoints.amend(position.step, {"position": asdict(position)})
        if is_best:
            self.checkpoints.mark_best(position.step)

    def _score(self) -> dict[str, float]:
        with products_in(self.evaluation_dtype, self.device):
            return self.training.evaluate()

    def scores(self) -> dict[str, float]:
        """The scores of the model at this step on dev, which are computed unless they are known."""
        is_known = self.position.evaluated_step == self.position.step
        return self.position.last_scores if is_known else self._score()

    def _check_metric(self, scores: Mapping[str, float]) -> None:
        if self.metric not in scores:
            raise InputError(f"trainer.metric: no score {self.metric!r}; one of {', '.join(scores)}")

    def _is_best(self, value: float) -> bool:
        """Whether a value of the metric is better than all before; it is counted."""
        position, sign = self.position, 1 if self.is_minimized else -1
        is_best = position.best_value is None or sign * value < sign * position.best_value
        is_best = is_best and not math.isnan(value)
        if is_best:
            position.best_value, position.best_step, position.num_worse = value, position.step, 0
        else:
            position.num_worse += 1
        return is_best

    def _find_best(self) -> None:
        """Mark the best checkpoint of a resumed run, if a kill came before that; it may also be gone."""
        position = self.position
        if position.best_value is not None and not self.checkpoints.mark_best(position.best_step):
            position.best_value, position.num_worse = None, 0

    def _save(self, shares: Sequence[float] = ()) -> None:
        self._read_steps()
        self.steps.check_weights(self.position.step)
        started = time.monotonic()
        self.checkpoints.save(self.position.step, self.state_dict(), shares=shares)
        self._saved_step, self._saved_at = self.position.step, self.seconds()
        self.position.overhead_seconds += time.monotonic() - started

    def _restore_best(self) -> dict[str, float]:
        position = self.position
        if position.best_step == position.step or position.best_value is None:
            return position.last_scores
        self.checkpoints.wait()
        self.processes.meet()  # the first one has written it
        return self._state.give_back_weights(self.checkpoints.load("best")).position.last_scores
