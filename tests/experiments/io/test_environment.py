"""The record of a run's starts: plain values, all that figures depend on; a peak of this process alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from places import ROOT

from elmo.errors import InputError
from experiments.io.environment import (
    describe_git,
    describe_start,
    peak_memory_bytes,
    read_starts,
    write_starts,
)


def test_a_start_is_described_with_all_that_its_figures_depend_on() -> None:
    start = describe_start(
        step=7, overrides=["seed=3"], config={"seed": 3}, seed=3, fingerprints={"train": "abc"}
    )
    assert json.loads(json.dumps(start)) == start
    assert (start["step"], start["overrides"], start["config"]) == (7, ["seed=3"], {"seed": 3})
    assert start["seed"] == 3
    assert start["data_fingerprints"] == {"train": "abc"}
    assert start["packages"]["torch"] == version("torch")  # as its package says: without "+cu124"
    assert start["threads"] == torch.get_num_threads()
    assert start["memory_bytes"] > 2**28
    assert start["command"].startswith("python ")
    assert datetime.fromisoformat(start["time"]).tzinfo is not None


def test_the_starts_come_back_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "environment.json"
    write_starts(path, [{"step": 0}, {"step": 5}])
    assert read_starts(path) == [{"step": 0}, {"step": 5}]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"seed": 1}', '{"starts": [3]}', "[" * 10_000])
def test_a_damaged_record_is_told_in_a_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "environment.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"environment\.json: .*; remove it to begin a new record"):
        read_starts(path)


def test_without_git_the_commit_is_unknown(tmp_path: Path) -> None:
    code = "from experiments.io.environment import describe_git; print(describe_git())"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PATH": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "None\n"


def test_the_commit_is_told_where_there_is_one() -> None:
    git = describe_git()
    assert git is None or (len(git["commit"]) == 40 and isinstance(git["dirty"], bool))


def test_peak_memory_grows_by_what_is_touched() -> None:
    before = peak_memory_bytes()
    block = torch.ones(2**27, dtype=torch.uint8)
    after = peak_memory_bytes()
    assert after >= block.nbytes
    assert 0 <= after - before < 2 * block.nbytes
