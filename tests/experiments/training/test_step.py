"""Tests of a training step: what is read from its device and when, and what is refused before it is saved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from emulated_device import emulated_device, no_reading
from regression import Regression, Rows, Run, start
from torch import Tensor

from elmo.errors import InputError
from experiments.logging.report import facts_of
from experiments.training.position import Limits, Periods
from experiments.training.step import TrainingStep

SEVEN_STEPS = Limits(7, None, None)
EVERY_FIFTH = Periods(100, 100, 5)


class OnDevice(Regression):
    """The rows of its batches are moved by the batch, as those of the tasks are."""

    def loss(self, batch: Rows) -> Tensor:
        return super().loss(Rows(batch.indices.to(self.inputs.device)))


@pytest.fixture
def accelerator() -> Iterator[torch.device]:
    with emulated_device() as device:
        yield device


def figures(run: Run) -> list[tuple[int, dict[str, float]]]:
    """What was logged, without times."""
    clocks = ("seconds", "train/examples_per_second")
    return [(step, {key: v for key, v in values.items() if key not in clocks}) for step, values in run.events]


@pytest.mark.parametrize("accumulate_batches", [1, 2])
def test_a_run_on_an_accelerator_logs_and_learns_what_one_on_the_cpu_does(
    tmp_path: Path, accumulate_batches: int
) -> None:
    found = []
    for name in ("cpu", "emulated"):
        with emulated_device() if name == "emulated" else nullcontext(torch.device("cpu")) as device:
            training = OnDevice(device=device)
            run = start(
                training,
                tmp_path / name,
                limits=SEVEN_STEPS,
                periods=EVERY_FIFTH,
                clip_norm=0.5,
                accumulate_batches=accumulate_batches,
            )
            run.train()
            found.append((figures(run), {key: value.cpu() for key, value in training.weights().items()}))
    assert found[0][0] == found[1][0]
    torch.testing.assert_close(found[0][1], found[1][1], rtol=0, atol=0)


def test_the_host_reads_nothing_from_an_accelerator_within_a_step(
    tmp_path: Path, accelerator: torch.device
) -> None:
    run = start(OnDevice(device=accelerator), tmp_path, clip_norm=0.5, accumulate_batches=2)
    steps, batches = run.trainer.steps, run.trainer.batches
    with no_reading():
        steps.set_rates(0.5)
        taken = [steps.take(number, batches) for number in (1, 2, 3)]
        with pytest.raises(RuntimeError, match="the host waits for the device"):
            steps.read()
    assert taken == [4, 4, 4]


def test_figures_are_read_every_log_every_steps_and_before_a_save(
    tmp_path: Path, accelerator: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(
        OnDevice(device=accelerator), tmp_path, limits=Limits(9, None, None), periods=Periods(100, 7, 3)
    )
    counts: list[int] = []
    read = TrainingStep.read

    def counted(self: TrainingStep) -> Sequence[Any]:
        counts.append(len(found := read(self)))
        return found

    monkeypatch.setattr(TrainingStep, "read", counted)
    run.train()
    assert [count for count in counts if count] == [1, 2, 3, 1, 2]  # steps 1, 2-3, 4-6, 7 and 8-9


def test_a_bad_batch_is_named_also_when_it_is_told_some_steps_later(
    tmp_path: Path, accelerator: torch.device
) -> None:
    training = OnDevice(device=accelerator)
    training.targets[5] = torch.inf
    run = start(training, tmp_path, limits=Limits(20, None, None), periods=Periods(100, 7, 10))
    with pytest.raises(InputError, match=r"^step 3: the loss is not finite, in the rows \[4, 5\]; .* no c"):
        run.train()
    assert run.trainer.position.step == 7  # it would have been saved
    assert list(tmp_path.glob("checkpoints/step-*")) == []


def test_the_facts_say_how_an_accelerator_computes_gradients(tmp_path: Path, device: torch.device) -> None:
    facts = facts_of(start(OnDevice(device=device), tmp_path).trainer)
    assert facts.get("gradients") == (None if device.type == "cpu" else "operation by operation")


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path, device: torch.device) -> None:
    training = OnDevice(device=device)
    run = start(training, tmp_path, periods=Periods(100, 1, 1))
    with torch.no_grad():
        training.model.register_parameter(
            "bad", torch.nn.Parameter(torch.full((2,), torch.inf, device=device))
        )
    run.trainer.parameters.append(training.model.get_parameter("bad"))
    with pytest.raises(InputError, match=r"^step 1: a weight is not finite, in the rows \[0, 1\]; "):
        run.train()
    assert list(tmp_path.glob("checkpoints/step-*")) == []


def test_gradients_and_loss_are_summed_over_processes_before_they_are_clipped(tmp_path: Path) -> None:
    whole, shared = Regression(), Regression()
    start(whole, tmp_path / "whole", clip_norm=0.5).train()

    def from_two_equal_processes(parameters: Sequence[Tensor], loss: Tensor) -> None:
        for one in (*(p.grad for p in parameters), loss):
            assert one is not None
            one.mul_(2)

    shared.gradient_scale = 0.5
    run = start(shared, tmp_path / "shared", clip_norm=0.5)
    run.trainer.steps.reduce = from_two_equal_processes
    run.train()
    torch.testing.assert_close(whole.weights(), shared.weights())
