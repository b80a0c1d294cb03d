"""A fraction of the training data: nested by seed, stratified, by content alone; dev and test stay whole."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from elmo.errors import InputError
from elmo.registry import REGISTRY
from elmo.text.tokenizers.whitespace import WhitespaceTokenizer
from experiments.config.check import COMPONENT_PACKAGES
from tasks.language_model.preparation import prepare_corpus
from tasks.sources.labelled.labelled_files import LabelledFiles
from tasks.sources.questions.squad import SquadSource
from tasks.sources.shared.fraction import take_fraction
from tasks.sources.text.text import TextSource

FRACTIONS = (0.01, 0.05, 0.1, 0.5, 1.0)
LABELS = [*["often"] * 150, *["seldom"] * 45, *["rare"] * 5]


def taken(
    fraction: float, seed: int = 1, labels: list[str] = LABELS, order: list[int] | None = None
) -> list[int]:
    """Which of the texts 0, 1, ... are taken."""
    order = list(range(len(labels))) if order is None else order
    return take_fraction(
        order,
        fraction=fraction,
        seed=seed,
        contents=[f"text {number}" for number in order],
        strata=[labels[number] for number in order],
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_a_smaller_fraction_is_a_part_of_a_larger_one(seed: int) -> None:
    parts = [taken(fraction, seed) for fraction in FRACTIONS]
    assert [len(part) for part in parts] == [2, 10, 20, 100, 200]
    assert all(set(small) < set(large) for small, large in pairwise(parts))
    assert all(part == sorted(part) for part in parts)  # in the order of the data


def test_another_seed_takes_others_and_the_order_of_the_data_does_not_matter() -> None:
    assert taken(0.1) != taken(0.1, seed=2)
    assert set(taken(0.1)) == set(taken(0.1, order=list(reversed(range(200)))))


def test_labels_keep_their_shares_and_each_has_a_text_where_there_are_as_many() -> None:
    counts = {fraction: Counter(LABELS[number] for number in taken(fraction)) for fraction in FRACTIONS}
    assert counts[0.1] == {"often": 15, "seldom": 4, "rare": 1}
    assert counts[0.5]["often"] == 75 and counts[0.5]["rare"] in (2, 3)
    assert counts[0.05] == {"often": 7, "seldom": 2, "rare": 1}
    assert counts[0.01] == {"often": 1, "seldom": 1}  # two texts of three labels


def test_copies_are_taken_one_by_one() -> None:
    copies = take_fraction(list(range(10)), fraction=0.5, seed=1, contents=["same"] * 10, strata=["x"] * 10)
    assert len(copies) == 5


def test_less_than_half_a_text_is_refused_in_a_line() -> None:
    with pytest.raises(InputError, match=r"data\.fraction: 0\.002 leaves nothing of 200 training examples;"):
        taken(0.002)


@pytest.mark.parametrize("fraction", [0, -0.1, 1.5, float("nan")])
def test_the_range_of_the_fraction_is_checked(fraction: float) -> None:
    REGISTRY.discover(*COMPONENT_PACKAGES)
    for name in ("labelled_files", "text", "bbc", "sotu"):
        (fault,) = REGISTRY.check("data", {"type": name, "fraction": fraction})
        assert fault.startswith("data.fraction: expected more than 0 and at most 1, got ")


def rows(path: Path, number: int) -> str:
    lines = [f"text {i} of {path.stem},{('good', 'bad')[i % 2]}\n" for i in range(number)]
    path.write_text("".join(["text,label\n", *lines]))
    return str(path)


def test_texts_of_dev_and_test_stay_whole(tmp_path: Path) -> None:
    files = {name: rows(tmp_path / f"{name}.csv", 40) for name in ("train", "dev", "test")}
    source = LabelledFiles(**files, fraction=0.25)
    read = {split: list(source.read_examples(split, seed=3)) for split in ("train", "dev", "test")}
    assert {split: len(texts) for split, texts in read.items()} == {"train": 10, "dev": 40, "test": 40}
    assert Counter(text.labels for text in read["train"]) == {("good",): 5, ("bad",): 5}
    assert len(list(source.examples("train"))) == 40
    assert source.describe_cut("train", seed=3) == {"fraction": 0.25, "fraction_seed": 3}
    assert source.describe_cut("dev", seed=3) == {}
    assert LabelledFiles(**files).describe_cut("train", seed=3) == {}


def test_the_questions_of_a_passage_stay_together(tmp_path: Path) -> None:
    def passage(number: int) -> dict[str, Any]:
        asked = [{"id": f"{number}-{i}", "question": "Who?", "answers": []} for i in range(3)]
        return {"context": f"Passage {number}.", "qas": asked}

    data = [{"title": "T", "paragraphs": [passage(number) for number in range(20)]}]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"version": "2.0", "data": data}))
    source = SquadSource(
        name="no/matter",
        revision=None,
        train=str(path),
        dev=str(path),
        test=str(path),
        dev_every=2,
        language="en",
        fraction=0.2,
    )
    train = list(source.read_passages("train", seed=1))
    assert [len(passage.questions) for passage in train] == [3, 3, 3, 3]
    assert len(list(source.read_passages("test", seed=1))) == 20


def test_running_text_is_cut_by_its_lines_into_a_corpus_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("".join(f"line number {number}\n\n" for number in range(400)))
    files = {"train": str(path), "dev": str(path), "test": str(path)}

    def kept(fraction: float, seed: int = 1) -> set[str]:
        source = TextSource(**files, fraction=fraction)
        return {
            line for batch in source.read_lines("train", seed=seed) for line in batch.lines if line.strip()
        }

    assert kept(0.05) < kept(0.3) < kept(1.0)
    assert len(kept(1.0)) == 400 and 90 < len(kept(0.3)) < 150
    assert kept(0.3) != kept(0.3, seed=2)
    corpora = {
        (fraction, split): prepare_corpus(
            TextSource(**files, fraction=fraction),
            WhitespaceTokenizer(),
            cache_path=tmp_path / "cache",
            split=split,
            num_workers=1,
        )
        for fraction in (0.3, 1.0)
        for split in ("train", "dev")
    }
    assert corpora[0.3, "train"].num_sentences == len(kept(0.3))
    assert corpora[0.3, "dev"].num_sentences == 400
    assert corpora[0.3, "train"].fingerprint != corpora[1.0, "train"].fingerprint
    with pytest.raises(InputError, match=r"data\.fraction: 1e-06 leaves nothing of 400 lines"):
        kept(1e-6)
