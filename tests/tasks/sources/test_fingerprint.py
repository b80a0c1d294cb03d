"""Fingerprints of data: of what files hold, and of nothing else."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from elmo.text.tokenizers.whitespace import WhitespaceTokenizer
from tasks.language_model.preparation import prepare_corpus
from tasks.sources.labelled.labelled_files import LabelledFiles
from tasks.sources.questions.squad import SquadSource
from tasks.sources.shared import fingerprint
from tasks.sources.shared.fingerprint import fingerprint_of
from tasks.sources.text.text import TextSource

SIZES = (10, 1 << 20)  # of files whose digest is not, and is, remembered
YEAR = 365 * 24 * 3600


@pytest.fixture
def digested(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read whole so far."""
    names: list[str] = []
    digest = fingerprint._digest

    def counted(path: Path) -> str:
        names.append(path.name)
        return digest(path)

    monkeypatch.setattr(fingerprint, "_digest", counted)
    monkeypatch.setattr(fingerprint, "_CLOCK_TICK", -YEAR)  # files of a moment ago count as old
    return names


def write(path: Path, num_bytes: int) -> Path:
    path.write_bytes(b"a b c d e\n" * (num_bytes // 10))
    return path


@pytest.mark.parametrize("num_bytes", SIZES)
def test_a_copied_corpus_is_the_same_and_its_store_is_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_bytes: int
) -> None:
    def prepare(path: Path) -> str:
        files = {split: str(path / f"{split}.txt") for split in ("train", "dev", "test")}
        tokenizer, cache_path = WhitespaceTokenizer(), tmp_path / "cache"
        return prepare_corpus(
            TextSource(**files), tokenizer, cache_path=cache_path, split="train", num_workers=1
        ).fingerprint

    (tmp_path / "here").mkdir()
    for split in ("train", "dev", "test"):
        write(tmp_path / "here" / f"{split}.txt", num_bytes)
    first = prepare(tmp_path / "here")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    os.utime(tmp_path / "there" / "train.txt", (YEAR, YEAR))
    monkeypatch.setattr(TextSource, "_read", None)  # nothing is read again
    assert prepare(tmp_path / "there") == first


@pytest.mark.parametrize("num_bytes", SIZES)
def test_one_changed_byte_changes_the_fingerprint(
    tmp_path: Path, digested: list[str], num_bytes: int
) -> None:
    path = write(tmp_path / "a.txt", num_bytes)
    times = path.stat().st_atime, path.stat().st_mtime
    before = fingerprint_of([path], cache_path=tmp_path / "cache")
    content = bytearray(path.read_bytes())
    content[num_bytes // 2] ^= 1
    time.sleep(0.05)  # longer than a tick of the file system's clock
    path.write_bytes(content)
    os.utime(path, times)  # the same size and time: the inode's own time of change cannot be set
    assert fingerprint_of([path], cache_path=tmp_path / "cache") != before
    assert digested == ["a.txt", "a.txt"]


def test_a_large_file_is_read_once_however_often_it_is_described(tmp_path: Path, digested: list[str]) -> None:
    paths = [write(tmp_path / "large.txt", 1 << 20), write(tmp_path / "small.txt", 10)]
    fingerprints = {fingerprint_of({"files": paths}, cache_path=tmp_path / "cache") for _ in range(3)}
    assert len(fingerprints) == 1
    assert (digested.count("large.txt"), digested.count("small.txt")) == (1, 3)
    (record,) = (tmp_path / "cache" / "digests").iterdir()
    record.write_text("damaged")
    assert fingerprint_of({"files": paths}, cache_path=tmp_path / "cache") in fingerprints


def test_a_file_that_has_just_been_written_is_not_trusted_to_stay(tmp_path: Path) -> None:
    fingerprint_of([write(tmp_path / "a.txt", 1 << 20)], cache_path=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_the_order_of_files_counts_and_their_names_do_not(tmp_path: Path) -> None:
    one, other, same = (tmp_path / name for name in "abc")
    for path, text in ((one, "x"), (other, "y"), (same, "x")):
        path.write_text(text)

    def of(*paths: Path) -> str:
        return fingerprint_of(list(paths), cache_path=tmp_path / "cache")

    assert of(one, other) == of(same, other) != of(other, one)


LABELLED = "text,label\nsun,good\nrain,bad\n" * 9
SQUAD: dict[str, Any] = {"name": "", "revision": None, "dev": None, "dev_every": 2, "language": "en"}


def test_the_examples_of_a_task_are_known_by_what_their_files_hold(tmp_path: Path) -> None:
    for name, text in (("a.csv", LABELLED), ("b.csv", LABELLED), ("c.csv", LABELLED.replace("sun", "fog"))):
        (tmp_path / name).write_text(text)
    for source_of in (
        lambda path: LabelledFiles(train=str(path)),
        lambda path: SquadSource(train=str(path), test=str(path), **SQUAD),
    ):
        a, b, c = (
            fingerprint_of(source_of(tmp_path / name).describe_examples("dev"), cache_path=tmp_path / "cache")
            for name in ("a.csv", "b.csv", "c.csv")
        )
        assert a == b != c
