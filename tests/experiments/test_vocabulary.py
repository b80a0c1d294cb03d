"""The command that counts words and writes a vocabulary."""

from __future__ import annotations

from pathlib import Path

import pytest

from elmo.text.vocabulary import Vocabulary
from experiments import vocabulary
from experiments.config.command import run_command

# 20 words: a 10 times, b 5, c 3, d and e once; dev and test have a word of their own
TRAIN = ["a b", "a b", "a b", "a b c", "a b c", "a a c", "a a d", "a e"]


@pytest.fixture
def text(tmp_path: Path) -> list[str]:
    for name, lines in {"train": TRAIN, "dev": ["a b", "d x"], "test": ["x <UNK>"]}.items():
        (tmp_path / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))
    splits = [f"data.{name}={tmp_path}/{name}.txt" for name in ("train", "dev", "test")]
    return ["data=text", *splits, "tokenizer=whitespace", f"cache_dir={tmp_path}/cache", "progress=none"]


def rows(printed: str) -> list[list[str]]:
    return [line.split() for line in printed.splitlines()]


def test_it_tells_how_much_of_each_split_vocabularies_cover(
    text: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(vocabulary.main, config_name="vocabulary", arguments=text) == 0
    said = rows(capsys.readouterr().out)
    assert [row for row in said if row[:1] in (["train"], ["dev"], ["test"])] == [
        ["train", "20", "8", "5"],
        ["dev", "4", "2", "4"],
        ["test", "2", "1", "2"],
    ]
    # with the markers: size, smallest count, coverage of train, dev and test; <UNK> in a text is not covered
    assert said[-4:] == [
        ["4", "10", "50.00%", "25.00%", "0.00%"],
        ["5", "5", "75.00%", "50.00%", "0.00%"],
        ["6", "3", "90.00%", "50.00%", "0.00%", "chosen"],
        ["8", "1", "100.00%", "75.00%", "0.00%"],
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [([], ["a", "b", "c"]), (["min_count=1"], ["a", "b", "c", "d", "e"]), (["max_size=4"], ["a"])],
)
def test_it_writes_the_words_by_count_behind_the_markers(
    text: list[str], tmp_path: Path, options: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new" / "vocab.txt"
    arguments = [*text, f"output={path}", *options]
    assert run_command(vocabulary.main, config_name="vocabulary", arguments=arguments) == 0
    assert Vocabulary.from_file(path).words == ["<S>", "</S>", "<UNK>", *words]
    assert f"{path}: {3 + len(words)} words" in capsys.readouterr().out
    before = path.read_bytes()
    assert run_command(vocabulary.main, config_name="vocabulary", arguments=[*arguments, "min_count=3"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"output={path}: exists already; nothing is overwritten"
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("mincount=3", "mincount: unknown key; nearest: min_count"),
        ("min_count=0", "min_count: expected at least 1, got 0"),
        ("min_count=11", "vocabulary.min_count: no word occurs 11 times or more"),
        ("data.train=nowhere.txt", "data.train: no such file: nowhere.txt"),
        ("data=sick", "data: pair_hub has examples of a task; expected running text, such as data=sotu"),
    ],
)
def test_its_faults_are_a_line_each(
    text: list[str], override: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [option for option in text if not (override == "data=sick" and option.startswith("data"))]
    assert run_command(vocabulary.main, config_name="vocabulary", arguments=[*arguments, override]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(line)
