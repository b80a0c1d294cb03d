"""Tests of the benchmark command: its figures, what it leaves behind, a wrong sub-command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.benchmark.__main__ import benchmark


@pytest.mark.parametrize("num_workers", [1, 2])
def test_preparing_is_measured_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], num_workers: int
) -> None:
    (tmp_path / "train.txt").write_text("a b c d\n" * 200)
    arguments = [
        "data=text",
        f"data.train={tmp_path / 'train.txt'}",
        "tokenizer=whitespace",
        f"num_workers={num_workers}",
        f"cache_dir={tmp_path / 'cache'}",
        f"output={tmp_path / 'figures.json'}",
        "progress=none",
    ]
    assert benchmark(["prepare", *arguments]) == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert [figures[f"{split}/tokens"] for split in ("train", "dev", "test")] == [720, 40, 40]
    assert figures["train/tokens_per_second"] == pytest.approx(720 / figures["train/seconds"])
    assert all(value > 0 for value in figures.values())
    assert list((tmp_path / "cache").iterdir()) == []
    header, *rows, memory = capsys.readouterr().out.splitlines()
    assert header.split("  ")[-1] == "tokens/s per core"
    assert [row.split()[:2] for row in rows] == [["train", "720"], ["dev", "40"], ["test", "40"]]
    assert memory.startswith("peak memory ")


def test_embedding_is_measured_beside_the_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.txt").write_text("one two three\n" * 60)
    arguments = [
        *("encoder=elmo_tiny", "data=text", f"data.train={tmp_path / 'text.txt'}", "tokenizer=whitespace"),
        *("batch_sizes=[1,2]", "num_sentences=3", "repeats=1", "progress=none"),
        f"output={tmp_path / 'figures.json'}",
    ]
    assert benchmark(["embed", *arguments]) == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["words_per_sentence"] == 3
    speed = figures["batch_2/words_per_second"]
    assert figures["batch_2/flops_per_second"] == pytest.approx(speed * figures["flops_per_word"])
    assert figures["batch_2/share_of_peak"] == pytest.approx(
        figures["batch_2/flops_per_second"] / figures["peak/flops_per_second"]
    )
    step = 3 / 5 / figures["batch_1/words_per_second"]  # three words and two markers are five steps
    assert figures["batch_1/seconds_per_step"] == pytest.approx(step)
    table = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in table[1:3]] == ["1", "2"]


@pytest.mark.parametrize(("arguments", "given"), [([], "none"), (["prepar", "data=text"], "prepar")])
def test_a_wrong_sub_command_is_told_with_the_valid_ones(
    capsys: pytest.CaptureFixture[str], arguments: list[str], given: str
) -> None:
    assert benchmark(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"benchmark: expected one of embed, prepare, statistics, train, got {given}; ")


def test_bad_input_is_a_line_and_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train.txt").write_bytes(b"a b\n" * 30 + b"\xff\n")
    text = [f"data.train={tmp_path / 'train.txt'}", f"cache_dir={tmp_path / 'cache'}"]
    assert benchmark(["prepare", "data=text", *text, "num_workers=1", "progress=none"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{tmp_path / 'train.txt'}:31: invalid UTF-8")
    assert list((tmp_path / "cache").iterdir()) == []


def test_help_lists_the_sub_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark(["--help"]) == 0
    assert "benchmark embed|prepare" in capsys.readouterr().out
