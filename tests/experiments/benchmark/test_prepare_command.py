"""`experiments.prepare`: parts of a preparation, and the store that a training then opens."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments import prepare
from experiments.config.command import run_command


def run(*arguments: str) -> int:
    return run_command(prepare.main, config_name="prepare", arguments=list(arguments))


def test_the_part_that_ends_last_makes_the_stores_and_another_start_finds_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text("a b c\n" * 30)
    text = ["data=text", f"data.train={tmp_path}/*.txt", f"cache_dir={tmp_path}/cache", "progress=none"]
    assert run(*text, "prepare.part=2/2") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{split}: part 2 of 2 is done; the one that ends last makes the store"
        for split in ("train", "dev", "test")
    ]
    assert run(*text, "prepare.part=1/2") == 0
    stores = capsys.readouterr().out.splitlines()
    assert [Path(line.partition(": ")[2]).is_dir() for line in stores] == [True] * 3
    assert run(*text) == 0
    assert capsys.readouterr().out.splitlines() == [f"{line} (prepared before)" for line in stores]
    assert len(list((tmp_path / "cache").iterdir())) == 3


@pytest.mark.parametrize("part", ["3", "0/2", "3/2"])
def test_a_part_that_is_none_is_told_before_data_is_read(
    part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("data=text", "data.train=none.txt", f"prepare.part={part}", f"cache_dir={tmp_path}") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("prepare.part: expected a part such as 3/16")
