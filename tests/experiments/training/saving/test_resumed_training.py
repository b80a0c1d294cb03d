"""Runs that are stopped while something is written or scored, that go on elsewhere, and their speed."""

from __future__ import annotations

import errno
import io
import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from emulated_device import EMULATED, emulated_device
from regression import Regression, Rows, Run, start
from torch import Tensor

from elmo.errors import InputError
from elmo.io.tensor_file import write_tensors
from experiments.logging.progress import make_progress
from experiments.training import trainer as trainer_module
from experiments.training.position import Limits, Periods
from experiments.training.saving import checkpoint

EVERY_STEP = Periods(None, 1, 1)


def with_adamw(path: Path, *, device: str | torch.device = "cpu", steps: int = 6, **options: Any) -> Run:
    training = Regression(device=device)
    optimizer = torch.optim.AdamW(training.model.parameters(), lr=0.1, **options)
    return start(
        training, path, limits=Limits(steps, None, None), periods=Periods(3, None, 1), optimizer=optimizer
    )


def weights(run: Run) -> np.ndarray:
    return np.concatenate([np.ravel(p.detach().tolist()) for p in run.trainer.parameters])


def resume(run: Run) -> Run:
    run.trainer.load_state_dict(run.trainer.checkpoints.load("last"))
    return run


@pytest.mark.parametrize(("before", "after"), [("cpu", EMULATED), (EMULATED, "cpu")])
def test_a_checkpoint_of_one_device_goes_on_on_another(
    tmp_path: Path, before: str | torch.device, after: str | torch.device
) -> None:
    straight = with_adamw(tmp_path / "straight")
    straight.train()
    with emulated_device():
        with_adamw(tmp_path / "moved", device=before, steps=3).train()
        resumed = resume(with_adamw(tmp_path / "moved", device=after))
        resumed.train()
        found = weights(resumed)
    np.testing.assert_array_equal(found, weights(straight))


def test_what_a_checkpoint_of_a_gpu_says_of_the_gpu_is_left_out_on_a_cpu_with_a_note(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    straight = with_adamw(tmp_path / "straight")
    straight.train()
    with_adamw(tmp_path / "gpu", steps=3).train()
    resumed = with_adamw(tmp_path / "gpu")
    state = resumed.trainer.checkpoints.load("last")
    state["generators"]["cuda"] = torch.zeros(16, dtype=torch.uint8)
    for group in state["optimizer"]["param_groups"]:
        group.update(capturable=True, fused=True, foreach=False, lr=torch.tensor(0.05))
    resumed.trainer.load_state_dict(state)
    assert caplog.messages == ["the checkpoint was made on cuda: on cpu, other random numbers follow"]
    resumed.train()
    np.testing.assert_array_equal(weights(resumed), weights(straight))


def test_changed_data_is_refused_with_the_names_of_the_splits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits = {"train": "a", "dev": "b", "test": "c"}
    monkeypatch.setattr(Regression, "fingerprints", lambda self: splits)
    start(Regression(), tmp_path).train()
    splits.update(dev="changed", test="changed")
    with pytest.raises(InputError, match=r"^resume: the dev and test data is not what the run began with; "):
        resume(start(Regression(), tmp_path))


def test_a_signal_ends_an_evaluation_in_the_middle_of_a_batch(tmp_path: Path) -> None:
    class Long(Regression):
        """An evaluation of a single batch, which tells nobody how far it is."""

        def evaluate(self) -> dict[str, float]:
            os.kill(os.getpid(), signal.SIGTERM)
            end = time.monotonic() + 10
            while time.monotonic() < end:
                self.loss(Rows(torch.arange(8)))
            raise AssertionError("the signal was not obeyed")

    run = start(Long(), tmp_path, periods=Periods(2, None, 1))
    with run.trainer.stop.on_signals(), pytest.raises(KeyboardInterrupt):
        run.train()
    assert run.trainer.stop.reason == "SIGTERM"
    assert run.trainer.checkpoints.find("last").name == "step-0000002"
    resumed = resume(start(Regression(), tmp_path, periods=Periods(2, None, 1)))
    resumed.train()
    assert resumed.steps_with("dev/error") == [2, 4]


def test_a_step_is_on_the_disk_before_it_is_evaluated(tmp_path: Path) -> None:
    found = []

    class Looking(Regression):
        def evaluate(self) -> dict[str, float]:
            found.append((tmp_path / "checkpoints" / "last").resolve().name)
            return super().evaluate()

    start(Looking(), tmp_path, periods=Periods(2, None, 1)).train()
    assert found == ["step-0000002", "step-0000004"]


def test_a_stop_while_a_checkpoint_is_written_waits_for_it_and_saves_the_last_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_stopping, written = threading.Event(), []

    def slow(path: Path, tensors: Mapping[str, Tensor]) -> None:
        assert is_stopping.wait(10)
        written.append(threading.current_thread().name)
        write_tensors(path, tensors)

    def stop(step: int, units: int, loss: float, fraction: float) -> None:
        if step == 2:
            run.trainer.stop.request("a test")
            is_stopping.set()

    monkeypatch.setattr(checkpoint, "write_tensors", slow)
    run = start(Regression(), tmp_path, periods=EVERY_STEP)
    with pytest.raises(KeyboardInterrupt):
        run.train(stop)
    assert written == ["writer", "writer"]
    assert resume(start(Regression(), tmp_path)).trainer.position.step == 2


def test_a_full_disk_ends_the_run_in_a_line_at_a_step_after_the_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, tensors: Mapping[str, Tensor]) -> None:
        if "step-0000002" in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write_tensors(path, tensors)

    monkeypatch.setattr(checkpoint, "write_tensors", full)
    run = start(Regression(), tmp_path, limits=Limits(100, None, None), periods=Periods(None, 2, 1))
    with pytest.raises(InputError, match=r"step-0000002: no space left to write it; free some space"):
        run.train(lambda step, units, loss, fraction: time.sleep(0.01))
    assert run.trainer.position.step < 100
    assert not list((tmp_path / "checkpoints").glob("*"))


class Clock:
    """Seconds that a test moves; stands for the module `time`."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


def test_right_after_a_resume_the_speed_and_the_time_left_are_those_of_this_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(trainer_module, "time", clock)

    class Timed(Regression):
        """A batch of two rows in a given time; 100 seconds for an evaluation."""

        seconds_per_batch = 1.0

        def loss(self, batch: Rows) -> Tensor:
            clock.now += self.seconds_per_batch
            return super().loss(batch)

        def evaluate(self) -> dict[str, float]:
            clock.now += 100
            return {"dev/error": 1.0}

    def stop(step: int, units: int, loss: float, fraction: float) -> None:
        if step == 4:
            first.trainer.stop.request("a test")

    limits, periods = Limits(100, None, None), Periods(4, None, 1)
    first = start(Timed(), tmp_path, limits=limits, periods=periods)
    with pytest.raises(KeyboardInterrupt):
        first.train(stop)
    clock.now += (
        10_000  # between the starts; the second one is ten times as fast and begins with the evaluation
    )
    training = Timed()
    training.seconds_per_batch = 0.1
    second = resume(start(training, tmp_path, limits=limits, periods=periods))
    trainer, file = second.trainer, io.StringIO()
    progress = make_progress(
        "plain",
        title="training",
        unit="examples",
        start_tokens=trainer.position.units,
        start_fraction=trainer.progress(),
        file=file,
        clock=trainer.training_seconds,
    )

    def show(step: int, units: int, loss: float, fraction: float) -> None:
        progress.update(fraction=fraction, tokens=units, step=step)
        if step == 6:
            progress.close()
            trainer.stop.request("a test")

    with pytest.raises(KeyboardInterrupt):
        second.train(show)
    assert file.getvalue() == "training:   6%, step 6, 12 examples, 20 examples/s, 0:09 left\n"
    speeds = [values["train/examples_per_second"] for _, values in second.events if "train/loss" in values]
    assert speeds == pytest.approx([20.0, 20.0])
