"""A spool that was damaged between two commands is refused in a line, and says how to start over."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elmo.errors import InputError
from experiments.io.vector_spool import VectorSpool

FORM: dict[str, Any] = {"settings": {"model": "m"}, "shape": (-1, 3), "dtype": np.dtype("<f4")}


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    with VectorSpool(tmp_path / "s", **FORM) as spool:
        for words in (["a", "b"], [], ["c"]):
            spool.append(words, np.full((len(words), 3), len(words)))
        spool.commit()
    return tmp_path / "s"


def test_what_was_committed_is_read_again(spool: Path) -> None:
    with VectorSpool(spool, **FORM) as again:
        assert [(words, vectors.sum()) for words, vectors in again] == [(["a", "b"], 12), ([], 0), (["c"], 3)]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda record: [], "progress.json: expected an object"),
        (lambda record: {"settings": record["settings"]}, "progress.json: num_sentences: missing"),
        (lambda record: {**record, "settings": 3}, "progress.json: settings: expected dict"),
        (lambda record: {**record, "word_bytes": "a"}, "progress.json: word_bytes: expected int, got 'a'"),
        (lambda record: {**record, "num_words": -1}, "progress.json: num_words: expected at least 0, got -1"),
        (
            lambda record: {**record, "vector_bytes": 10**15},
            "vectors.bin: fewer than 1,000,000,000,000,000 bytes",
        ),
        (lambda record: {**record, "settings": {"model": "n"}}, 'an interrupted run with model "n" left it'),
    ],
)
def test_a_damaged_record_is_refused(spool: Path, change: Callable[[Any], Any], fault: str) -> None:
    file = spool / "progress.json"
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    with pytest.raises(InputError) as error:
        VectorSpool(spool, **FORM)
    assert fault in str(error.value)
    assert str(error.value).endswith("to start over")


@pytest.mark.parametrize("line", ["{", "3", "[3]", '["a", "b", "c", "d", "e"]', "\udcff"])
def test_damaged_words_are_refused(spool: Path, line: str) -> None:
    content = (spool / "words.jsonl").read_bytes()
    changed = (
        line.encode("utf-8", "surrogateescape").ljust(content.index(b"\n")) + content[content.index(b"\n") :]
    )
    (spool / "words.jsonl").write_bytes(changed + b" " * (len(content) - len(changed)))
    with VectorSpool(spool, **FORM) as again, pytest.raises(InputError):
        list(again)
