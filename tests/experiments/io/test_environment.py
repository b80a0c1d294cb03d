"""The description of a run's environment: plain values, a peak of this process alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from places import ROOT

from experiments.io.environment import describe_git, peak_memory_bytes, write_environment


def test_the_environment_is_written_as_json(tmp_path: Path) -> None:
    write_environment(tmp_path / "environment.json", seed=3, fingerprints={"train": "abc"})
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert environment["seed"] == 3
    assert environment["data_fingerprints"] == {"train": "abc"}
    assert environment["packages"]["torch"] == torch.__version__
    assert environment["threads"] == torch.get_num_threads()
    assert environment["memory_bytes"] > 2**28
    assert environment["command"].startswith("python ")


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
