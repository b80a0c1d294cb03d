"""Tests of the training loop on a small regression: clipping, limits, periods, the best model, stops."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from regression import Regression, Rows, Run, start
from torch import Tensor, nn

from elmo.errors import InputError
from experiments.training import trainer as trainer_module
from experiments.training.optimization.schedules import ConstantSchedule, CosineSchedule
from experiments.training.position import Limits, Periods


class LookUp(Regression):
    """The same with four vectors in place of the inputs, of which each batch's gradient holds a few rows."""

    def __init__(self, *, sparse: bool, **options: Any) -> None:
        super().__init__(**options)
        self.model = nn.Sequential(nn.Embedding(4, 4, sparse=sparse), nn.Linear(4, 1))
        self.inputs = torch.tensor([0, 1, 2, 3, 3, 1, 0, 2])


def assert_equal_weights(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    torch.testing.assert_close(dict(one), dict(other), rtol=0, atol=0)


@pytest.mark.parametrize("clip_norm", [0.1, 1e6])
def test_clipping_is_that_of_torch(tmp_path: Path, clip_norm: float) -> None:
    ours, theirs = Regression(), Regression()
    run = start(ours, tmp_path, limits=Limits(1, None, None), clip_norm=clip_norm)
    run.train()
    theirs.loss(next(theirs.batches())).backward()
    norm = torch.nn.utils.clip_grad_norm_(theirs.model.parameters(), clip_norm)
    torch.optim.SGD(theirs.model.parameters(), lr=0.1).step()
    torch.testing.assert_close(ours.weights(), theirs.weights())
    assert run.events[0][1]["train/gradient_norm"] == pytest.approx(float(norm))


@pytest.mark.parametrize("accumulate_batches", [1, 2])
def test_sparse_gradients_are_clipped_as_dense_ones(tmp_path: Path, accumulate_batches: int) -> None:
    # Each batch looks up all four vectors, so two batches of a step meet in every row.
    norms = []
    weights = []
    for sparse in (False, True):
        training = LookUp(sparse=sparse, batch_size=4)
        run = start(training, tmp_path / str(sparse), clip_norm=0.1, accumulate_batches=accumulate_batches)
        run.train()
        norms.append([values[key] for _, values in run.events if (key := "train/gradient_norm") in values])
        weights.append(training.weights())
    assert norms[0] == pytest.approx(norms[1])
    torch.testing.assert_close(*weights)


class Clock:
    """Stands in for the module `time`; its seconds pass when a test says so."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_accumulated_batches_give_the_gradient_of_the_whole(tmp_path: Path) -> None:
    whole, halves = Regression(batch_size=4), Regression(batch_size=2)
    start(whole, tmp_path / "whole").train()
    run = start(halves, tmp_path / "halves", accumulate_batches=2)
    run.train()
    torch.testing.assert_close(whole.weights(), halves.weights())
    assert run.trainer.position.units == 16


@pytest.mark.parametrize(
    ("limits", "num_steps"),
    [
        (Limits(3, None, None), 3),
        (Limits(None, 1, None), 4),
        (Limits(None, 0.5, None), 2),
        (Limits(3, 1, 1), 3),
        (Limits(9, 1, 1), 4),
    ],
)
def test_the_run_ends_at_whichever_limit_comes_first(tmp_path: Path, limits: Limits, num_steps: int) -> None:
    run = start(Regression(), tmp_path, limits=limits)
    run.train()
    assert run.trainer.position.step == num_steps
    assert run.trainer.planned_steps() == num_steps


def test_a_limit_of_time_ends_the_run(tmp_path: Path) -> None:
    never = Periods(10**9, None, 10**9)
    run = start(Regression(), tmp_path, limits=Limits(10**9, None, 0.1 / 60), periods=never)
    shares = list[float]()
    run.train(lambda step, units, loss, fraction: shares.append(fraction))
    assert 0.1 <= run.trainer.position.seconds < 2
    assert shares == sorted(shares)
    assert 0.5 < shares[-1] <= 1.0
    assert start(Regression(), tmp_path, limits=Limits(None, None, 1)).trainer.planned_steps() is None


def test_it_logs_evaluates_and_saves_at_its_periods_and_at_the_end(tmp_path: Path) -> None:
    run = start(Regression(), tmp_path, limits=Limits(7, None, None), periods=Periods(3, 2, 2))
    saved = list[list[str]]()

    def look(step: int, units: int, loss: float, fraction: float) -> None:
        saved.append(sorted(path.name for path in tmp_path.glob("checkpoints/step-*")))

    run.train(look)
    assert run.steps_with("train/loss") == [2, 4, 6]
    assert run.steps_with("dev/error") == [3, 6, 7]
    assert saved[-1] == ["step-0000004", "step-0000006"]  # 2 and 3 have gone by then
    assert (tmp_path / "checkpoints" / "last").resolve().name == "step-0000007"


def test_at_shares_of_the_run_its_checkpoint_is_scored_and_never_removed(tmp_path: Path) -> None:
    shares = (0.1, 0.25, 0.5, 1.0)
    run = start(
        Regression(), tmp_path, limits=Limits(10, None, None), periods=Periods(100, 1, 100, keep_at=shares)
    )
    run.trainer.pause_step = 5  # a step whose checkpoint is kept
    with pytest.raises(KeyboardInterrupt):
        run.train()
    resumed = start(
        Regression(), tmp_path, limits=Limits(10, None, None), periods=Periods(100, 1, 100, keep_at=shares)
    )
    resumed.trainer.load_state_dict(resumed.trainer.checkpoints.load("last"))
    resumed.train()
    assert run.steps_with("dev/error") + resumed.steps_with("dev/error") == [1, 3, 5, 10]
    kept = {path.name: path.resolve().name for path in tmp_path.glob("checkpoints/at-*")}
    steps = {"at-0.1": 1, "at-0.25": 3, "at-0.5": 5, "at-1": 10}
    assert kept == {name: f"step-{step:07d}" for name, step in steps.items()}
    for path in tmp_path.glob("checkpoints/at-*"):
        position = resumed.trainer.checkpoints.load(path.name)["position"]
        assert position["evaluated_step"] == position["step"] == steps[path.name]


def test_without_a_period_it_evaluates_after_each_epoch(tmp_path: Path) -> None:
    run = start(Regression(batch_size=3), tmp_path, limits=Limits(7, None, None))
    run.train()
    assert run.steps_with("dev/error") == [3, 6, 7]  # 8 of 9, 16 of 18 rows


@pytest.mark.parametrize(
    ("is_minimized", "scores"), [(True, [3.0, 2.0, 4.0, 2.0, 1.0]), (False, [3.0, 5.0, 4.0, 5.0, 9.0])]
)
def test_it_stops_out_of_patience_and_keeps_the_best_model(
    tmp_path: Path, is_minimized: bool, scores: list[float]
) -> None:
    training, until_best = Regression(scores=scores), Regression()
    run = start(
        training,
        tmp_path,
        limits=Limits(9, None, None),
        periods=Periods(1, None, 1),
        is_minimized=is_minimized,
        patience=2,
    )
    assert run.train() == {"dev/error": scores[1]}
    assert (run.trainer.position.step, run.trainer.position.best_step) == (4, 2)
    start(until_best, tmp_path / "until_best", limits=Limits(2, None, None)).train()
    assert_equal_weights(training.weights(), until_best.weights())
    assert (tmp_path / "checkpoints" / "best").resolve().name == "step-0000002"


def test_the_schedule_multiplies_the_learning_rate_of_each_group(tmp_path: Path) -> None:
    training = Regression()
    parameters = list(training.model.parameters())
    optimizer = torch.optim.SGD(
        [{"params": parameters[:1], "lr": 1.0}, {"params": parameters[1:], "lr": 0.2}], lr=0.1
    )
    run = start(training, tmp_path, optimizer=optimizer, schedule=ConstantSchedule(warmup_steps=8))
    run.train()
    assert [values["train/learning_rate"] for _, values in run.events[:4]] == [0.125, 0.25, 0.375, 0.5]
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(
    tmp_path: Path, device: torch.device, dtype: torch.dtype
) -> None:
    class Dropped(Regression):
        """With numbers from the device's generator."""

        def loss(self, batch: Rows) -> Tensor:
            kept = nn.functional.dropout(self.inputs[batch.indices], 0.1, self.model.training)
            return ((self.model(kept).squeeze(1).float() - self.targets[batch.indices]) ** 2).mean()

    limits, periods = Limits(7, None, None), Periods(2, None, 1)

    def begin(path: Path) -> tuple[Regression, Run]:
        training = Dropped(device=device)
        optimizer = torch.optim.AdamW(training.model.parameters(), lr=0.1)
        schedule = CosineSchedule(warmup_steps=2, final_factor=0.1)
        options = {"limits": limits, "periods": periods, "optimizer": optimizer, "schedule": schedule}
        run = start(training, path, **options, dtype=dtype, clip_norm=1.0)
        return training, run

    straight, run = begin(tmp_path / "straight")
    scores = run.train()

    _, stopped = begin(tmp_path / "stopped")

    def stop(step: int, units: int, loss: float, fraction: float) -> None:
        if step == 3:
            stopped.trainer.stop.request("a test")

    with pytest.raises(KeyboardInterrupt):
        stopped.train(stop)
    resumed, further = begin(tmp_path / "stopped")
    further.trainer.load_state_dict(further.trainer.checkpoints.load("last"))
    assert further.trainer.position.step == 3
    assert further.train() == scores
    assert_equal_weights(resumed.weights(), straight.weights())
    both = stopped.events + further.events
    assert [step for step, _ in both] == [step for step, _ in run.events]
    for (_, values), (_, expected) in zip(both, run.events, strict=True):
        for clock in ("seconds", "train/examples_per_second"):
            values.pop(clock, None), expected.pop(clock, None)
        assert values == expected


class Killed(BaseException):
    """The end of the process in the middle of something."""


@pytest.mark.parametrize("killed_at", [2, 4, 7])
def test_a_kill_during_an_evaluation_loses_nothing(tmp_path: Path, killed_at: int) -> None:
    limits, periods = Limits(7, None, None), Periods(2, None, 1)
    straight = Regression()
    expected = start(straight, tmp_path / "straight", limits=limits, periods=periods)
    scores = expected.train()

    class Long(Regression):
        def evaluate(self) -> dict[str, float]:
            if killed.trainer.position.step == killed_at:
                raise Killed
            return super().evaluate()

    killed = start(Long(), tmp_path / "killed", limits=limits, periods=periods)
    with pytest.raises(Killed):
        killed.train()
    assert (tmp_path / "killed/checkpoints/last").resolve().name == f"step-000000{killed_at}"
    training = Regression()
    resumed = start(training, tmp_path / "killed", limits=limits, periods=periods)
    resumed.trainer.load_state_dict(resumed.trainer.checkpoints.load("last"))
    assert resumed.trainer.position.step == killed_at
    assert resumed.train() == scores
    assert_equal_weights(training.weights(), straight.weights())
    assert resumed.trainer.position.best_step == expected.trainer.position.best_step
    assert killed.steps_with("dev/error") + resumed.steps_with("dev/error") == [2, 4, 6, 7]


def test_a_stop_does_not_wait_for_the_evaluation(tmp_path: Path) -> None:
    run = start(Regression(), tmp_path, periods=Periods(2, None, 1))

    def stop(step: int, units: int, loss: float, fraction: float) -> None:
        if step == 2:
            run.trainer.stop.request("a test")

    with pytest.raises(KeyboardInterrupt):
        run.train(stop)
    assert run.steps_with("dev/error") == []
    resumed = start(Regression(), tmp_path, periods=Periods(2, None, 1))
    resumed.trainer.load_state_dict(resumed.trainer.checkpoints.load("last"))
    resumed.train()
    assert resumed.steps_with("dev/error") == [2, 4]


def test_a_checkpoint_exists_half_a_minute_after_the_start_and_then_every_some_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(trainer_module, "time", clock)

    class Slow(Regression):
        """Ten seconds for a step."""

        def loss(self, batch: Rows) -> Tensor:
            clock.now += 10
            return super().loss(batch)

    saved = dict[str, int]()

    def look(step: int, units: int, loss: float, fraction: float) -> None:
        run.trainer.checkpoints.wait()
        for path in tmp_path.glob("checkpoints/step-*"):
            saved.setdefault(path.name, step)

    periods = Periods(1000, 1000, 1, save_every_minutes=2.0)
    run = start(Slow(), tmp_path, limits=Limits(30, None, None), periods=periods)
    run.train(look)
    assert saved == {"step-0000003": 4, "step-0000015": 16, "step-0000027": 28}  # seen a step later


def test_the_logged_loss_is_smoothed_over_the_steps_and_the_speed_is_that_since_the_event_before(
    tmp_path: Path,
) -> None:
    run = start(Regression(), tmp_path, limits=Limits(3, None, None), periods=Periods(100, None, 1))
    run.train()
    events = [values for _, values in run.events if "train/loss" in values]
    smoothed = events[0]["train/loss"]
    for values in events:
        smoothed = 0.98 * smoothed + 0.02 * values["train/loss"]
        assert values["train/loss_smoothed"] == pytest.approx(smoothed)
        assert values["train/examples_per_second"] > 0


@pytest.mark.parametrize(
    ("limits", "patience", "reason"),
    [
        (Limits(4, 9, None), None, "trainer.max_steps=4"),
        (Limits(9, 0.5, 9), None, "trainer.max_epochs=0.5"),
        (Limits(None, None, 1e-9), None, "trainer.max_minutes=1e-09"),
        (Limits(9, None, None), 1, "trainer.patience=1"),
    ],
)
def test_it_says_what_ended_it(tmp_path: Path, limits: Limits, patience: int | None, reason: str) -> None:
    training = Regression(scores=[1.0] * 9)
    run = start(training, tmp_path, limits=limits, periods=Periods(1, None, 1), patience=patience)
    run.train()
    assert (run.trainer.ended_by(), run.trainer.is_concluded()) == (reason, True)


def test_evaluating_takes_no_random_numbers_from_the_training(tmp_path: Path) -> None:
    class Noisy(Regression):
        def loss(self, batch: Rows) -> Tensor:
            return super().loss(batch) * (1 + 0.1 * torch.rand(()))

    found = []
    for evaluate_every in (1, 100):
        training = Noisy()
        torch.manual_seed(3)
        periods = Periods(evaluate_every, None, 1)
        start(training, tmp_path / str(evaluate_every), periods=periods).train()
        found.append(training.weights())
    # Of both runs the last model is the best, so that it is the one that is kept.
    assert_equal_weights(*found)


def test_the_speed_is_that_of_training_alone_over_all_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(trainer_module, "time", clock)

    class Timed(Regression):
        """A second for a batch of two rows, 100 for an evaluation."""

        def loss(self, batch: Rows) -> Tensor:
            clock.now += 1
            return super().loss(batch)

        def evaluate(self) -> dict[str, float]:
            clock.now += 100
            return {"dev/error": 1.0}

    for num_steps in (4, 5, 8):  # the run stops behind an evaluation, then behind a step, and goes on
        run = start(Timed(), tmp_path, limits=Limits(num_steps, None, None), periods=Periods(4, None, 1))
        if num_steps > 4:
            run.trainer.load_state_dict(run.trainer.checkpoints.load("last"))
        clock.now += 10_000  # between two starts, and before the first step
        run.train()
        assert run.trainer.units_per_second() == pytest.approx(2.0)
    assert run.trainer.position.seconds == 8 + 3 * 100


def test_another_metric_begins_its_own_search_for_the_best(tmp_path: Path) -> None:
    class Two(Regression):
        def evaluate(self) -> dict[str, float]:
            error = super().evaluate()["dev/error"]
            return {"dev/error": error, "dev/accuracy": 0.5}

    start(Two(), tmp_path).train()
    resumed = start(Two(), tmp_path, limits=Limits(8, None, None), metric="dev/accuracy", is_minimized=False)
    resumed.trainer.load_state_dict(resumed.trainer.checkpoints.load("last"))
    resumed.train()
    assert (resumed.trainer.position.best_value, resumed.trainer.position.best_step) == (0.5, 8)
    mistyped = start(Two(), tmp_path, metric="dev/acuracy")
    with pytest.raises(InputError, match=r"trainer\.metric: no score 'dev/acuracy'; one of dev/error, "):
        mistyped.trainer.load_state_dict(mistyped.trainer.checkpoints.load("last"))


def test_a_best_checkpoint_that_is_gone_is_found_anew(tmp_path: Path) -> None:
    start(Regression(scores=[1.0, 5.0]), tmp_path, periods=Periods(2, None, 1)).train()
    shutil.rmtree(tmp_path / "checkpoints" / "step-0000002")
    resumed = start(Regression(scores=[3.0]), tmp_path, limits=Limits(6, None, None))
    resumed.trainer.load_state_dict(resumed.trainer.checkpoints.load("last"))
    assert resumed.train() == {"dev/error": 3.0}


def test_a_loss_that_is_not_finite_names_step_and_batch_and_changes_nothing(tmp_path: Path) -> None:
    training, until_then = Regression(), Regression()
    training.targets[5] = torch.inf
    run = start(training, tmp_path, periods=Periods(None, 1, 1))
    with pytest.raises(
        InputError, match=r"^step 3: the loss is not finite, in the rows \[4, 5\]; .*"
    ) as caught:
        run.train()
    assert str(caught.value).endswith(f"the last good checkpoint is {tmp_path / 'checkpoints/step-0000002'}")
    start(until_then, tmp_path / "until_then", limits=Limits(2, None, None)).train()
    assert_equal_weights(training.weights(), until_then.weights())


def test_a_gradient_that_is_not_finite_is_told_as_well(tmp_path: Path) -> None:
    class Steep(Regression):
        def loss(self, batch: Rows) -> Tensor:
            return (super().loss(batch) * 0).sqrt()  # 0, with an endless slope

    with pytest.raises(InputError, match=r"step 1: the norm of the gradients is not finite.*no checkpoint"):
        start(Steep(), tmp_path).train()


def test_an_unknown_metric_is_told_with_the_scores_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"trainer\.metric: no score 'dev/eror'; one of dev/error"):
        start(Regression(), tmp_path, metric="dev/eror").train()


def test_the_gradient_scale_changes_the_step_and_not_the_loss(tmp_path: Path) -> None:
    plain, scaled = Regression(), Regression()
    scaled.gradient_scale = 2.0
    runs = [
        start(plain, tmp_path / "plain", limits=Limits(1, None, None)),
        start(
            scaled,
            tmp_path / "scaled",
            limits=Limits(1, None, None),
            optimizer=torch.optim.SGD(scaled.model.parameters(), lr=0.05),
        ),
    ]
    for run in runs:
        run.train()
    torch.testing.assert_close(plain.weights(), scaled.weights())
    assert runs[0].events[0][1]["train/loss"] == runs[1].events[0][1]["train/loss"]
