"""The record of a run's starts: plain values, all that figures depend on; a peak of this process alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime
from importlib.machinery import ModuleSpec
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest
import torch
from places import ROOT

from elmo.errors import InputError
from experiments.io import environment
from experiments.io.command_line import command_line
from experiments.io.environment import (
    describe_git,
    describe_start,
    peak_memory_bytes,
    read_starts,
    write_starts,
)


def test_a_start_is_described_with_all_that_its_figures_depend_on() -> None:
    start = describe_start(
        step=7,
        overrides=["seed=3"],
        config={"seed": 3},
        seed=3,
        fingerprints={"train": "abc"},
        files={"data.train": {"a.txt": "def"}},
        device="cpu",
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


def test_the_diff_and_new_files_of_the_code_are_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    code = tmp_path / "package" / "environment.py"
    code.parent.mkdir()
    code.write_text("a = 1\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    monkeypatch.setattr(environment, "__file__", str(code))
    clean = describe_git()
    assert clean is not None
    assert (clean["dirty"], clean["diff"], clean["untracked"]) == (False, "", [])
    code.write_text("a = 2\n")
    (tmp_path / "new.py").touch()
    (tmp_path / "notes.txt").touch()
    changed = describe_git()
    assert changed is not None
    assert changed["dirty"] and changed["commit"] == clean["commit"]
    assert changed["diff"].endswith("-a = 1\n+a = 2") and changed["untracked"] == ["new.py"]
    monkeypatch.setattr(environment, "MOST_DIFF", 20)
    cut = describe_git()
    assert cut is not None
    assert cut["diff"] == changed["diff"][:20] + "\n[cut after 20 characters]"


def test_a_room_s_command_is_told_as_it_is_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    main = ModuleType("__main__")
    main.__spec__ = ModuleSpec("experiments.compare.__main__", None)
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.setattr(sys, "argv", ["__main__.py", "runs=[a b]"])
    assert command_line() == "python -m experiments.compare 'runs=[a b]'"
