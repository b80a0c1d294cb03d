"""The parts of a step follow each other as they are computed, and a trace of a run shows them."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path

import pytest
import torch
from regression import Regression, start
from tiny_runs import arguments_of, write_data
from torch import nn

from experiments import train
from experiments.config.command import run_command
from experiments.profiling.parts import told_parts
from experiments.profiling.times import PartTimes
from experiments.profiling.trace import PART, TRACED_STEPS, traced_steps
from experiments.training.position import Limits

STREAM = "language_model, stream, sampled"
PARTS = [
    *("data", "CNN", "LSTM", "softmax"),
    *("softmax backward", "LSTM backward", "CNN backward"),
    *("clipping", "optimizer"),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_data(tmp_path_factory.mktemp("data"))


def test_a_trace_of_some_steps_shows_their_parts_in_order(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*arguments_of(STREAM, tmp_path / "run", files), "profile=true", "logger.curves=false"]
    assert run_command(train.main, config_name="train", arguments=arguments) == 0
    assert "profile: false" in (tmp_path / "run" / "config.yaml").read_text()  # it belongs to one start
    (path,) = (tmp_path / "run" / "profile").iterdir()
    events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    ranges = [event for event in events if str(event.get("name", "")).startswith(PART)]
    ranges.sort(key=lambda event: event["ts"])
    names = [event["name"].removeprefix(PART) for event in ranges if event["name"] != PART + "other"]
    assert [name for name, _ in itertools.groupby(names)] == PARTS * TRACED_STEPS
    printed = capsys.readouterr().out
    assert f"{path}: open it with https://ui.perfetto.dev" in printed
    assert "ms of its own" in printed and "aten::" in printed


def test_the_parts_of_any_model_are_told_and_change_no_gradient(tmp_path: Path) -> None:
    told, plain = Regression(), Regression()
    for training in (told, plain):
        training.model = nn.Sequential(training.model)
    parts: list[str] = []
    run = start(told, tmp_path / "told", limits=Limits(2, None, None))
    with told_parts(run.trainer, parts.append):
        run.train()
    start(plain, tmp_path / "plain", limits=Limits(2, None, None)).train()
    torch.testing.assert_close(told.weights(), plain.weights(), rtol=0, atol=0)
    step = ["data", "0", "0 backward", "clipping", "optimizer"]
    told_of_steps = [part for part in parts if part != "other"][: 2 * len(step)]  # then it is evaluated
    assert told_of_steps == 2 * step
    parts.clear()
    run.trainer.steps.take(3, run.trainer.batches)
    assert parts == []


def test_a_run_that_ends_before_its_trace_begins_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = start(Regression(), tmp_path)
    with traced_steps(run.trainer, tmp_path / "profile") as after_step:
        after_step()
    (line,) = capsys.readouterr().out.splitlines()
    assert line == "profile=true: the run has ended within its first 5 steps; nothing is traced"
    assert not (tmp_path / "profile").exists()


def test_the_time_of_a_part_is_that_from_its_beginning_to_the_next_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter([0.0, 1.0, 3.0, 4.0, 8.0])
    monkeypatch.setattr("experiments.profiling.times.time.perf_counter", lambda: next(clock))
    times = PartTimes(torch.device("cpu"))
    for part in ("data", "LSTM", "other", "LSTM backward", "data"):
        times.enter(part)
    assert times.seconds() == {"data": 1.0, "LSTM": 6.0, "other": 1.0}
    assert times.shares() == {"data": 0.125, "LSTM": 0.75, "other": 0.125}
