"""Preparing a corpus in shards: parts, kills and damage change nothing in the store."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from places import ROOT

from elmo.errors import InputError
from elmo.text.tokenizers.whitespace import WhitespaceTokenizer
from tasks.language_model import preparation as preparation_module
from tasks.language_model.corpus import Corpus
from tasks.language_model.preparation import Part, Preparation, prepare_corpus
from tasks.language_model.shards import merging, numbering
from tasks.sources.text.text import TextSource

NAMES = ("tokens", "sentences", "types", "type_offsets", "counts")
PROGRAM = """
from pathlib import Path
from elmo.text.tokenizers.whitespace import WhitespaceTokenizer
from tasks.language_model import preparation
from tasks.language_model.shards import numbering
from tasks.sources.shared import local_files
from tasks.sources.text.text import TextSource

numbering.TASK_SIZE, preparation.SHARD_TASKS, local_files.BATCH_SIZE = 2000, 2, 50
source = TextSource(train="text/*.txt", dev="dev.txt", test="dev.txt")
preparation.prepare_corpus(
    source, WhitespaceTokenizer(), cache_path=Path("cache"), split="train", num_workers=1,
    progress=lambda words, sentences, fraction: print(words, flush=True),
)
"""


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six files of 400 lines, in the working directory; a shard has some 100 lines."""
    monkeypatch.setattr(numbering, "TASK_SIZE", 2000)
    monkeypatch.setattr(preparation_module, "SHARD_TASKS", 2)
    monkeypatch.setattr("tasks.sources.shared.local_files.BATCH_SIZE", 50)
    rng = np.random.default_rng(0)
    (tmp_path / "text").mkdir()
    for number in range(6):
        lines = [" ".join(f"w{i}ä" for i in rng.zipf(1.3, 6) % 9973) for _ in range(400)]
        (tmp_path / "text" / f"{number}.txt").write_text("\n".join([*lines, "<S> 😀 </S>", ""]))
    (tmp_path / "dev.txt").write_text("a b\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def source_of(place: Path) -> TextSource:
    return TextSource(train=str(place / "text" / "*.txt"), dev=str(place / "dev.txt"), test="dev.txt")


def preparation_of(place: Path, cache: str = "cache") -> Preparation:
    return Preparation(source_of(place), WhitespaceTokenizer(), cache_path=place / cache, split="train")


def prepare(place: Path, cache: str, *, num_workers: int = 1) -> Corpus:
    return prepare_corpus(
        source_of(place),
        WhitespaceTokenizer(),
        cache_path=place / cache,
        split="train",
        num_workers=num_workers,
    )


def content(path: Path) -> list[bytes]:
    return [(path / f"{name}.bin").read_bytes() for name in NAMES]


def shards_of(preparation: Preparation) -> list[Path]:
    return sorted(preparation.shards_path.glob("*/*.bin"))


@pytest.fixture(params=[1, 3, 8], ids=lambda number: f"{number} parts")
def parts(request: pytest.FixtureRequest) -> Iterator[list[Part]]:
    """In an order in which they may come to their ends."""
    yield [Part(index, request.param) for index in range(request.param, 0, -1)]


def test_the_store_is_the_text_by_descending_count_and_bytes(text: Path) -> None:
    corpus = prepare(text, "cache")
    words = [
        line.split() for file in sorted((text / "text").iterdir()) for line in file.read_text().splitlines()
    ]
    counts = Counter(word for line in words for word in line)
    expected = sorted(counts, key=lambda word: (-counts[word], word.encode()))
    assert list(corpus.types.words())[2:] == expected
    assert corpus.counts_V.tolist() == [len(words)] * 2 + [counts[word] for word in expected]
    ids, offsets = corpus.read_sentences(0, corpus.num_sentences)
    type_of = {word: i for i, word in enumerate(expected, start=2)}
    assert ids.tolist() == [type_of[word] for line in words for word in line]
    assert np.diff(offsets).tolist() == list(map(len, words))
    assert (corpus.num_literal_markers, corpus.longest_sentence) == (12, 6)


@pytest.mark.parametrize("piece_bytes", [1, 1 << 26], ids=["a piece for each file", "one piece"])
def test_any_number_of_parts_gives_the_same_store(
    text: Path, parts: list[Part], piece_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.sources.text.text.PIECE_BYTES", piece_bytes)
    monkeypatch.setattr(merging, "WORDS_AT_ONCE", 300)  # so that runs are merged in several blocks
    monkeypatch.setattr(merging, "_FEWEST_WORDS", 5)
    for part in parts:
        preparation = preparation_of(text)
        assert not preparation.is_complete()
        preparation.write_shards(part, num_workers=1)
    assert len(shards_of(preparation)) > 12
    assert preparation.is_complete()
    preparation.merge()
    monkeypatch.undo()
    os.chdir(text)
    whole = prepare(text, "other", num_workers=1)
    assert content(preparation.path) == content(whole.path)
    assert not preparation.shards_path.exists()


def test_a_preparation_that_is_killed_goes_on_with_the_shards_that_are_missing(text: Path) -> None:
    expected = content(prepare(text, "whole").path)
    for after in (300, 5000, 9000):  # words
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            cwd=text,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) > after:
                process.send_signal(signal.SIGKILL)
                break
        process.communicate()
    preparation = preparation_of(text)
    finished = {path: path.stat().st_mtime_ns for path in shards_of(preparation)}
    assert finished
    preparation.write_shards(Part(), num_workers=1)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    preparation.merge()
    assert content(preparation.path) == expected
    assert not preparation.shards_path.exists()


@pytest.mark.parametrize("damage", ["cut", "marker"])
def test_a_shard_that_is_cut_or_has_no_sound_marker_is_prepared_anew(
    text: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    expected = content(prepare(text, "whole").path)
    preparation = preparation_of(text)
    preparation.write_shards(Part(), num_workers=1)
    path = shards_of(preparation)[3]
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-4])
    else:
        path.with_suffix(".json").write_text("{}")
    with caplog.at_level(logging.WARNING):
        preparation.write_shards(Part(), num_workers=1)
    (message,) = caplog.messages
    assert f"{path}: damaged shard (" in message and "it is prepared anew" in message
    preparation.merge()
    assert content(preparation.path) == expected


def test_a_shard_whose_content_has_changed_is_removed_with_a_line_and_prepared_by_the_next_start(
    text: Path,
) -> None:
    expected = content(prepare(text, "whole").path)
    preparation = preparation_of(text)
    preparation.write_shards(Part(), num_workers=1)
    path = shards_of(preparation)[3]
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(
        InputError, match=r"bin: damaged shard \(its content .* it was removed: run again"
    ) as fault:
        preparation.merge()
    assert "\n" not in str(fault.value)
    assert content(prepare(text, "cache").path) == expected


def test_a_text_with_a_fault_leaves_no_shards_and_a_part_leaves_those_of_the_others(text: Path) -> None:
    (text / "text" / "5.txt").write_text("fault \0\n")
    with pytest.raises(InputError, match=r"5\.txt:1: NUL character"):
        prepare(text, "cache")
    assert list((text / "cache").iterdir()) == []
    preparation = preparation_of(text)
    preparation.write_shards(Part(1, 9), num_workers=1)
    with pytest.raises(InputError, match=r"5\.txt:1: NUL character"):
        for index in range(2, 10):
            preparation.write_shards(Part(index, 9), num_workers=1)
    assert shards_of(preparation)


@pytest.mark.parametrize("given", ["0/3", "4/3", "3", "1/2/3", "a/b", ""])
def test_a_part_that_is_none_is_told(given: str) -> None:
    with pytest.raises(InputError, match=r"prepare\.part: expected a part such as 3/16"):
        Part.from_text(given)


def test_merging_takes_memory_for_a_block_of_words_only(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = content(prepare(text, "whole").path)
    monkeypatch.setattr(merging, "WORDS_AT_ONCE", 40)
    monkeypatch.setattr(merging, "_FEWEST_WORDS", 1)
    largest = list[int]()
    merge = merging._merge

    def watched(lengths: np.ndarray, words: np.ndarray, counts: np.ndarray) -> merging._Merged:
        largest.append(len(lengths))
        return merge(lengths, words, counts)

    monkeypatch.setattr(merging, "_merge", watched)
    assert content(prepare(text, "cache").path) == expected
    assert max(largest) <= 40 and sum(largest) > 2000
