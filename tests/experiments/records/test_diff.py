"""Two runs' configs, environments and figures side by side: only what differs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_runs import write_run

from experiments import diff
from experiments.config.command import run_command


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs of other seeds and heads, the second as if of another machine and state of the code."""
    place = tmp_path_factory.mktemp("runs")
    diff_text = "diff --git a/elmo/files.py b/elmo/files.py\n+1"
    other = {
        "cpu": "Another",
        "git": {"commit": "0" * 40, "dirty": True, "diff": diff_text, "untracked": []},
        "packages": {"elmo-experiments": "0.1.0", "torch": "0.1", "numpy": "2.4.6"},
    }
    two = {"figures": {"seconds": 90.0}, "seed": 2, "head": "cnn", "start": other}
    return write_run(place / "one", 80.5), write_run(place / "two", 82.0, **two)


def compared(*arguments: str) -> int:
    return run_command(diff.main, config_name="diff", arguments=list(arguments))


def test_the_terminal_names_only_what_differs(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert compared(f"run_a={runs[0]}", f"run_b={runs[1]}") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line]
    first = [line[0] for line in lines]
    assert ["head=", "pooled", "cnn"] in lines and ["seed", "1", "2"] in lines
    assert [word for word in first if word == "cpu"] == ["cpu"]
    assert ["package", "torch"] in [line[:2] for line in lines]
    assert ["uncommitted", "changes"] in [line[:2] for line in lines]
    assert ["test/accuracy", "80.5", "82.0", "+1.5"] in lines
    assert "seconds" not in first and "output_dir" not in first
    assert "encoder.size" not in first


def test_the_same_run_twice_has_no_difference(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert compared(f"run_a={runs[0]}", f"run_b={runs[0]}") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    assert lines == [f"{section}: no difference" for section in ("config", "environment", "figures")]


def test_the_tables_are_written_as_json_and_markdown(runs: tuple[Path, Path], tmp_path: Path) -> None:
    for name in ("diff.json", "diff.md"):
        assert compared(f"run_a={runs[0]}", f"run_b={runs[1]}", f"output={tmp_path / name}") == 0
    found = json.loads((tmp_path / "diff.json").read_text())
    assert found["runs"] == list(map(str, runs))
    assert found["config"]["seed"] == [1, 2]
    assert found["environment"]["package torch"][1] == "0.1"
    assert found["environment"]["uncommitted changes"][1].startswith("elmo/files.py (")
    assert found["figures"]["dev/accuracy"] == [80.5, 82.0]
    text = (tmp_path / "diff.md").read_text()
    assert "## environment" in text and "| seed | 1 | 2 |" in text


def test_a_run_without_figures_or_record_is_still_compared(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = tmp_path / "begun"
    begun.mkdir()
    (begun / "config.yaml").write_bytes((runs[0] / "config.yaml").read_bytes())
    assert compared(f"run_a={begun}", f"run_b={runs[1]}") == 0
    output = capsys.readouterr().out
    assert f"figures: {begun} has no final figures (unfinished)" in output
    assert f"environment: {begun} has no record of its starts" in output


def test_what_cannot_be_compared_is_told_in_a_line(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compared(f"run_a={tmp_path}", f"run_b={runs[0]}") == 2
    assert capsys.readouterr().err == f"{tmp_path}: no run is there (no config.yaml)\n"
    assert compared(f"run_a={runs[0]}", f"run_b={runs[1]}", "output=diff.txt") == 2
    assert capsys.readouterr().err == "output: expected a file that ends with .md or .json, got 'diff.txt'\n"
