"""Two processes train what one trains; they are started once, for all tests of this file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from ranks import Ended, run_ranks
from tiny_runs import arguments_of, write_data

from experiments import train
from experiments.config.command import run_command
from experiments.training.saving.checkpoint import load_checkpoint

SAME = {
    "language_model, stream, sampled": ["encoder.dropout=0"],
    "language_model, stream, adaptive": ["encoder.dropout=0", "trainer.batch_size=5"],
    "language_model, sentences, adaptive": ["encoder.dropout=0", "trainer.patience=1"],
    "text_classification, words": [
        "task.dropout=0",
        "task.word_dropout=0",
        "task.class_weights=balanced",
        "trainer.batch_size=6",
    ],
    "question_answering, words": ["task.word_dropout=0", "head.dropout=0"],
}
DROPPING = "language_model, stream, sampled"


class Trained(NamedTuple):
    """The runs in two processes by name, what the processes printed, and the data."""

    paths: dict[str, Path]
    ranks: list[Ended]
    path: Path
    files: dict[str, Path]


def changed(arguments: Sequence[str], changes: Sequence[str]) -> list[str]:
    keys = tuple(f"{change.partition('=')[0]}=" for change in changes)
    return [*(argument for argument in arguments if not argument.startswith(keys)), *changes]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    path = tmp_path_factory.mktemp("two")
    files = write_data(path)
    names = {name: name.replace(", ", "-") for name in SAME}
    jobs: list[dict[str, Any]] = [
        {"arguments": changed(arguments_of(name, path / names[name], files), changes)}
        for name, changes in SAME.items()
    ]
    dropping = arguments_of(DROPPING, path / "dropping", files)
    halved = changed(dropping, [f"output_dir={path / 'halved'}", "trainer.max_steps=6"])
    jobs += [{"arguments": arguments} for arguments in (dropping, halved)]
    jobs += [{"arguments": [f"resume={path / 'halved'}", "trainer.max_steps=12"]}]
    endless = changed(jobs[0]["arguments"], [f"output_dir={path / 'killed'}", "trainer.max_steps=100000"])
    jobs += [
        {"arguments": ["trainer.batch_size=1"]},
        {"arguments": endless, "dies": True},
    ]
    ranks = run_ranks(jobs, path)
    return Trained({name: path / directory for name, directory in names.items()}, ranks, path, files)


def remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path)


def events(path: Path) -> list[dict[str, float]]:
    """The losses, norms and scores of a run, in order."""
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    ignored = ("seconds", "per_second", "num_threads")
    return [{k: v for k, v in line.items() if not k.endswith(ignored)} for line in lines]


def assert_same(found: list[dict[str, float]], expected: list[dict[str, float]], *, rel: float) -> None:
    assert len(found) == len(expected)
    assert found[0] == pytest.approx(
        expected[0], rel=1e-6
    )  # of equal weights: loss and norm of the gradients
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=rel)


@pytest.mark.parametrize("name", SAME)
def test_losses_gradients_and_scores_are_those_of_one_process(
    name: str, trained: Trained, tmp_path: Path
) -> None:
    arguments = changed(arguments_of(name, tmp_path / "one", trained.files), SAME[name])
    assert run_command(train.main, config_name="train", arguments=arguments) == 0
    assert_same(events(trained.paths[name]), events(tmp_path / "one"), rel=2e-5)
    figures = [json.loads((p / "metrics.json").read_text()) for p in (trained.paths[name], tmp_path / "one")]
    tested = [{k: v for k, v in one.items() if k.startswith(("test/", "dev/"))} for one in figures]
    assert len(tested[0]) > 3
    assert tested[0] == pytest.approx(tested[1], rel=2e-5)


def test_a_run_of_two_processes_goes_on_in_one_with_the_same_data_and_state(
    trained: Trained, tmp_path: Path
) -> None:
    path, whole = tmp_path / "half", trained.paths[DROPPING]
    shutil.copytree(whole, path, symlinks=True)
    for gone in ("step-0000012", "last", "best"):
        remove(path / "checkpoints" / gone)
    lines = (path / "metrics.jsonl").read_text().splitlines(keepends=True)
    (path / "metrics.jsonl").write_text("".join(line for line in lines if json.loads(line)["step"] <= 6))
    arguments = [f"resume={path}", "trainer.max_steps=12", f"cache_dir={trained.path / 'cache'}"]
    assert run_command(train.main, config_name="train", arguments=arguments) == 0
    assert_same(events(path), events(whole), rel=2e-5)
    ours, theirs = (load_checkpoint(p / "checkpoints" / "last") for p in (path, whole))
    assert ours["task"]["state"][0].shape[1] == 4  # of the rows of both processes
    for one, other in zip(ours["task"]["state"], theirs["task"]["state"], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    for name, value in theirs["model"].items():  # the start state among them
        torch.testing.assert_close(ours["model"][name], value, rtol=1e-4, atol=1e-6)


def test_a_resumed_run_of_two_processes_is_bit_equal_with_dropout(trained: Trained) -> None:
    whole, halved = (load_checkpoint(trained.path / n / "checkpoints/last") for n in ("dropping", "halved"))
    for name, value in whole["model"].items():
        assert torch.equal(value, halved["model"][name])
    assert events(trained.path / "dropping") == events(trained.path / "halved")


def test_only_the_first_process_prints_logs_and_writes(trained: Trained) -> None:
    first, second = trained.ranks
    assert first.output.count("the best by") >= len(SAME)
    assert second.output == ""
    assert not list(trained.path.glob("*/checkpoints/.*"))


def test_a_dead_process_ends_the_others_with_one_line(trained: Trained) -> None:
    first, second = trained.ranks
    assert (first.code, second.code) == (2, -9)
    (line,) = [line for line in first.errors.splitlines() if "rank 0" in line]
    assert "another process of the training has ended" in line and "resume=auto" in line
    assert "Traceback" not in first.errors


def test_a_batch_smaller_than_the_number_of_processes_is_one_line(trained: Trained) -> None:
    said = [line for line in trained.ranks[0].errors.splitlines() if "trainer.batch_size" in line]
    assert said == [
        "trainer.batch_size: 1 leaves some of 2 processes without a row; it is the batch of all processes,"
        " at least 2"
    ]
    codes = [line for line in trained.ranks[0].errors.splitlines() if line.startswith("exit code")]
    assert codes == [*["exit code 0"] * (len(SAME) + 3), "exit code 2"]
