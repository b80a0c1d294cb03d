"""The training loop: forward, backward, clip, step, log; with evaluation, checkpoints, and an end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any, Protocol

import torch
from torch import Tensor

from elmo.errors import InputError, faults_of
from elmo.io.model_directory import load_weights
from experiments.training.position import Limits, Periods, Position
from experiments.training.saving.checkpoint import Checkpoints
from experiments.training.saving.generators import generator_states, restore_generators
from experiments.training.saving.saved_state import read_state, refuse_unlike, refuse_unlike_optimizer
from experiments.training.stop import Stop
from tasks.task import Batches, Training

Log = Callable[[int, Mapping[str, float]], None]  # step, values by metric name
Show = Callable[[int, int, float, float], None]  # step, units, loss, share of the run done


PAUSE = "its record"  # what stops a repeated run where the run was stopped


class NotFiniteError(InputError):
    """A training whose loss is no number any more."""


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
        metric: the score that decides on the best checkpoint and on stopping.
        is_minimized: whether less of it is better.
        patience: evaluations without a new best after which the run stops; None: it does not.
        checkpoints: where states are saved.
        stop: a request to save a checkpoint after the step under way, and to end.

    Attributes:
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
    ) -> None:
        self.training, self.optimizer, self.schedule = training, optimizer, schedule
        self.limits, self.periods = limits, periods
        self.accumulate_batches, self.clip_norm, self.dtype = accumulate_batches, clip_norm, dtype
        self.metric, self.is_minimized, self.patience = metric, is_minimized, patience
        self.checkpoints, self.stop = checkpoints, stop
        self.batches: Batches = training.batches()
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.learning_rates = [group["lr"] for group in optimizer.param_groups]
        self.position = Position()
        self.pause_step: int | None = None
        self.device = self.parameters[0].device
        self._started = time.monotonic()
        self._constants = training.constants()
        self._units_before = 0  # units when the step under way began
        self._saved_step = -1
        self._saved_at: float | None = None  # in this start, in seconds of the run
        self._begun = 0.0  # seconds of the run when this start began
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
        self._begun = self.seconds()
        self._logged = (self.position.units, self._training_seconds())
        self._find_best()
        self.training.model.train()
        if self.position.is_evaluation_due:
            self._evaluate()
        while self.ended_by() is None:
            self._set_learning_rates()
            loss = self._forward_backward()
            norm = self._clip()
            self._refuse_non_finite(loss, norm)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            self.position.step += 1
            smoothed = self.position.smooth(float(loss))
            show(self.position.step, self.position.units, float(loss), min(1.0, self.progress()))
            if self.position.step == self.pause_step and self.ended_by() is None:
                self.stop.request(PAUSE)
            self._log_step(loss, smoothed, norm)
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
        """Time spent on this run, earlier starts included."""
        return time.monotonic() - self._started

    def units_per_second(self) -> float:
        """The speed of training over all starts, evaluating and saving left out."""
        position = self.position
        return position.units / max(position.seconds - position.overhead_seconds, 1e-9)

    def _training_seconds(self) -> float:
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
        return {
            "model": self._learned_state(),
            "optimizer": self.optimizer.state_dict(),
            "batches": self.batches.state_dict(),
            "task": self.training.state_dict(),
            "fingerprints": self.training.reports.fingerprints(),
            "position": asdict(self.position),
            "metric": self.metric,
            "generators": generator_states(self.device),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's state, as if there had been no stop.

        Raises:
            InputError: the data is not what it was, or the metric none of the scores.
        """
        name = str(self.checkpoints.path)
        saved = read_state(state, name=name)
        for split, fingerprint in self.training.reports.fingerprints().items():
            if saved.fingerprints.get(split) != fingerprint:
                raise InputError(
                    f"resume: the {split} data is not what the run began with; give it back, or start a new"
                    " run with init_from"
                )
        position = saved.position
        if saved.metric != self.metric:  # values of two metrics cannot be compared
            position.best_value, position.num_worse = None, 0
        if position.last_scores:
            self._check_metric(position.last_scores)
        refuse_unlike_optimizer(saved.optimizer, self.optimizer, name=f"{name}: optimizer")
        refuse_unlike(saved.batches, self.batches.state_dict(), name=f"{name}: batches")
        self.position, self._saved_step = position, position.step
        self._restore(saved.model)
        self.optimizer.load_state_dict(saved.optimizer)
        with faults_of(name):
            self.batches.load_state_dict(saved.batches)
            self.training.load_state_dict(saved.task)
            restore_generators(saved.generators, self.device)
        self._started = time.monotonic() - position.seconds

    def _set_learning_rates(self) -> None:
        factor = self.schedule.factor(self.position.step, self.progress())
        for group, rate in zip(self.optimizer.param_groups, self.learning_rates, strict=True):
            group["lr"] = rate * factor

    def _forward_backward(self) -> Tensor:
        """Accumulate the gradients of a step's batches; returns their mean loss."""
        total = torch.zeros((), device=self.device)
        self._units_before = self.position.units
        for _ in range(self.accumulate_batches):
            self._batch = next(self.batches)
            with self._precision():
                loss = self.training.loss(self._batch)
            (loss * (self.training.gradient_scale / self.accumulate_batches)).backward()
            total += loss.detach() / self.accumulate_batches
            self.position.units += self._batch.num_units
        return total

    def _precision(self) -> AbstractContextManager[None]:
        # MPS warns of an autocast to float32, even of one that is switched off.
        is_full = self.dtype == torch.float32
        return nullcontext() if is_full else torch.autocast(self.device.type, self.dtype)

    def _clip(self) -> Tensor:
        """Scale all gradients so that their global norm is at most `clip_norm`; returns the norm before."""
        for parameter in self.parameters:
            if self.accumulate_batches > 1 and parameter.grad is not None and parameter.grad.is_sparse:
                parameter.grad = parameter.grad.coalesce()  # a row may be in several batches' gradients
        gradients = [_values(p.grad) for p in self.parameters if p.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        if self.clip_norm is not None:
            torch._foreach_mul_(gradients, (self.clip_norm / norm).clamp(max=1.0))
        return norm

    def _refuse_non_finite(self, loss: Tensor, norm: Tensor) -> None:
        if bool(torch.isfinite(loss) & torch.isfinite(norm)):
            return
        what = "the loss" if not math.isfinite(float(loss)) else "the norm of the gradients"
        raise NotFiniteError(
            f"step {self.position.step + 1}: {what} is not finite, in {self.training.describe(self._batch)};"
            f" a lower optimizer.learning_rate or trainer.clip_norm may help; {self._last_good()}"
        )

    def _last_good(self) -> str:
        try:
            return f"the last good checkpoint is {self.checkpoints.find('last')}"
        except InputError:
            return "no checkpoint was saved before"

    def _log_step(self, loss: Tensor, smoothed: float, norm: Tensor) -> None:
        position = self.position
        if position.step % self.periods.log_every == 0:
            self.log(
                position.step,
                {
                    self.training.unit: position.units,
                    "seconds": self.seconds(),
                    self.training.loss_name: float(loss),
                    f"{self.training.loss_name}_smoothed": smoothed,
                    "train/gradient_norm": float(norm),
                    "train/learning_rate": max(group["lr"] for group in self.optimizer.param_groups),
                    "train/epochs": position.units / self.training.units_per_epoch,
                    f"train/{self.training.unit}_per_second": self._recent_speed(),
                },
            )

    def _recent_speed(self) -> float:
        """Units per second since the event before, evaluating and saving left out."""
        now = (self.position.units, self._training_seconds())
        (units, seconds), self._logged = self._logged, now
        return (now[0] - units) / max(now[1] - seconds, 1e-9)

    def _save_and_evaluate(self) -> None:
        """Save and evaluate after a step, if due; after a stop request, the resumed run evaluates."""
        is_evaluation_due = self._is_due(self.periods.evaluate_every)
        self.position.is_evaluation_due = is_evaluation_due
        is_stopping = self.stop.reason is not None
        is_save_due = self._is_due(self.periods.save_every) or self._is_save_late()
        if is_evaluation_due or is_save_due or is_stopping:
            self._save()
        if is_evaluation_due and not is_stopping:
            self._evaluate()

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
        generators = generator_states(self.device)
        position.last_scores = self.training.evaluate()
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

    def _learned_state(self) -> dict[str, Tensor]:
        """The model's state without what never changes in this run, such as a frozen encoder's weights."""
        return {
            name: value
            for name, value in self.training.model.state_dict().items()
            if name not in self._constants
        }

    def _restore(self, state: Mapping[str, Tensor]) -> None:
        own = self.training.model.state_dict()
        whole = {**{name: own[name] for name in self._constants}, **state}
        load_weights(self.training.model, whole, name=str(self.checkpoints.path))

    def _save(self) -> None:
        started = time.monotonic()
        self.checkpoints.save(self.position.step, self.state_dict())
        self._saved_step, self._saved_at = self.position.step, self.seconds()
        self.position.overhead_seconds += time.monotonic() - started

    def _restore_best(self) -> dict[str, float]:
        position = self.position
        if position.best_step == position.step or position.best_value is None:
            return position.last_scores
        best = read_state(self.checkpoints.load("best"), name=str(self.checkpoints.path))
        self._restore(best.model)
        return best.position.last_scores


def _values(gradient: Tensor) -> Tensor:
    """A gradient's own values: of a sparse one, those of its rows, which are distinct."""
    return gradient._values() if gradient.is_sparse else gradient
