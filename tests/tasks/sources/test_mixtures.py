"""Mixtures: which texts of their parts are read, which sentences are not, and whose fault an error names."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from elmo.errors import InputError
from elmo.registry import REGISTRY
from elmo.text.tokenizers.whitespace import WhitespaceTokenizer
from tasks.language_model.preparation import Part, Preparation, prepare_corpus
from tasks.sources.shared.split import SPLITS, Split
from tasks.sources.text.mixture import MixtureSource

REGISTRY.discover("tasks.sources")
Nodes = dict[str, dict[str, Any]]


def write(path: Path, *lines: str) -> str:
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


def question(number: int) -> dict[str, Any]:
    return {"id": str(number), "question": "Who asks?", "answers": [{"text": "A", "answer_start": 0}]}


@pytest.fixture
def parts(tmp_path: Path) -> Nodes:
    """A text, labelled texts, and passages with questions, each with three splits."""
    nodes: Nodes = {
        "prose": {"type": "text", "prose": True},
        "topics": {"type": "labelled_files", "prose": False},
        "questions": {"type": "squad", "name": "none", "revision": None, "dev_every": 2, "language": "en"},
    }
    for split in SPLITS:
        passages = [
            {"context": f"A passage in {split}. Its\x07end.", "qas": [question(0), question(1)]},
            {"context": f"Another in {split}.", "qas": [question(2)]},
        ]
        articles = {"data": [{"title": "t", "paragraphs": passages}]}
        nodes["prose"][split] = write(tmp_path / f"{split}.txt", f"Prose in {split}. It ends.", "", "Two.")
        nodes["topics"][split] = write(tmp_path / f"{split}.csv", "text,label", f"In {split},Sun", "small,No")
        nodes["questions"][split] = write(tmp_path / f"{split}.json", json.dumps(articles))
    return nodes


def lines_of(mixture: MixtureSource, split: Split) -> list[str]:
    return [line.rstrip() for batch in mixture.lines(split) for line in batch.lines if line]


def sentences_of(mixture: MixtureSource, path: Path, split: Split = "train") -> list[str]:
    corpus = prepare_corpus(mixture, WhitespaceTokenizer(), cache_path=path, split=split, num_workers=1)
    words = list(corpus.types.words())
    ids, offsets = corpus.read_sentences(0, corpus.num_sentences)
    return [" ".join(words[i] for i in ids[a:b]) for a, b in itertools.pairwise(offsets)]


def test_the_training_texts_of_all_parts_follow_each_other_without_labels_and_questions(
    parts: Nodes, tmp_path: Path
) -> None:
    prose, topics = ["Prose in train.", "It ends.", "Two."], ["In train", "small"]
    questions = ["A passage in train.", "Its end.", "Another in train."]  # no control character
    assert sentences_of(MixtureSource(parts=parts), tmp_path) == [*prose, *topics, *questions]
    left_out: Mapping[str, Any] = {**parts, "topics": None}
    assert sentences_of(MixtureSource(parts=left_out), tmp_path) == [*prose, *questions]


def test_each_training_paragraph_that_changes_has_a_copy_in_lower_case(parts: Nodes) -> None:
    topics = {"topics": parts["topics"]}
    mixture = MixtureSource(parts=topics, lower_case_copies=True, split_every=3)
    assert sorted(lines_of(mixture, "train")) == ["In train", "in train", "small"]
    with pytest.raises(InputError, match="leaves nothing for test of 2 lines"):
        lines_of(mixture, "test")


def test_dev_and_test_are_samples_of_the_parts_dev_texts(parts: Nodes, tmp_path: Path) -> None:
    parts["prose"]["dev"] = write(tmp_path / "long.txt", *(f"Line {i}.\n" for i in range(1, 11)))
    mixture = MixtureSource(parts=parts, split_every=5, lower_case_copies=True)
    assert lines_of(mixture, "dev") == ["Line 2.", "Line 7.", "small"]
    assert lines_of(mixture, "test") == ["Line 5.", "Line 10."]
    for part in parts.values():
        del part["test"]
    mixture.check()
    assert "test" not in " ".join(itertools.chain(*(lines_of(mixture, split) for split in SPLITS)))


def test_sentences_of_excluded_dev_and_test_texts_are_left_out_and_counted(
    parts: Nodes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = {"train": write(tmp_path / "own.txt", "Two.", "unique")}
    files |= {"dev": write(tmp_path / "other.txt", "it ends", "...")}
    files |= {"test": write(tmp_path / "third.txt", "IN TRAIN !")}
    excluded = {"task": {"type": "text", **files}}
    mixture = MixtureSource(parts=parts, excluded=excluded, lower_case_copies=True)
    found = sentences_of(mixture, tmp_path / "cache")
    assert sorted(found[:4]) == ["Prose in train.", "Two.", "prose in train.", "two."]
    assert found[4:6] == ["small", "A passage in train."]
    told = [f"data.parts.{part}: 1 sentences of data.excluded were left out" for part in ("prose", "topics")]
    assert [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING] == told
    with_all = MixtureSource(parts=parts)
    assert mixture.describe("train") != with_all.describe("train")
    assert mixture.describe("dev") == with_all.describe("dev")


def test_what_decides_the_text_of_a_part_decides_that_of_the_mixture(parts: Nodes, tmp_path: Path) -> None:
    def facts(seed: int = 1, **changes: Any) -> list[Any]:
        mixture = MixtureSource(parts={**parts, "prose": {**parts["prose"], **changes}})
        return [mixture.describe("train"), mixture.describe_cut("train", seed=seed), mixture.cut_facts()]

    def text(seed: int) -> list[str]:
        mixture = MixtureSource(parts={"topics": {**parts["topics"], "fraction": 0.5}})
        return [line for batch in mixture.read_lines("train", seed=seed) for line in batch.lines if line]

    assert facts() == facts() == facts(fraction=1.0) == facts(seed=2)
    assert facts(prose=False)[0] != facts()[0]
    assert facts(fraction=0.5)[0] == facts()[0] and facts(fraction=0.5)[1:] != facts()[1:]
    assert facts(fraction=0.5)[1] != facts(fraction=0.5, seed=2)[1]
    assert facts(fraction=0.5)[2] == {"train fraction of data.parts.prose": 50.0}
    texts = [text(seed) for seed in range(9) if text(seed)]
    assert {"In train"} < {line for lines in texts for line in lines}


def test_parts_are_prepared_apart_and_a_killed_preparation_goes_on(parts: Nodes, tmp_path: Path) -> None:
    whole = sentences_of(MixtureSource(parts=parts), tmp_path / "whole")
    preparation = Preparation(
        MixtureSource(parts=parts), WhitespaceTokenizer(), cache_path=tmp_path / "parts", split="train"
    )
    preparation.write_shards(Part(2, 3), num_workers=1)
    assert not preparation.is_complete() and [path.name for path in preparation.shards_path.iterdir()] == [
        "000001"
    ]
    assert sentences_of(MixtureSource(parts=parts), tmp_path / "parts") == whole


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ({}, "data.parts: none is given; name a source"),
        ({"a": {"type": "sotux"}}, "data.parts.a.type: unknown data 'sotux'; nearest: sotu"),
        ({"a": {"type": "text", "trian": "a"}}, "data.parts.a.trian: unknown key; nearest: train"),
        ({"a": {"type": "text", "split_every": 2}}, "data.parts.a.split_every: 2 must be 3 or more"),
        ({"a": {"type": "text", "train": "none.txt"}}, "data.parts.a.train: no such file: none.txt"),
        ({"a": {"type": "mixture", "parts": {"b": {"type": "text"}}}}, "data.parts.a.parts.b.train: missing"),
        (
            {"a": {"type": "text"}, "b": {"type": "text", "language": "de"}},
            "data.parts.b.language: de, but data.parts.a has en",
        ),
    ],
)
def test_an_error_names_the_part(nodes: Nodes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        MixtureSource(parts=nodes).check()
    assert str(caught.value).startswith(message)


def test_a_fault_of_a_parts_text_names_the_part_and_the_place(parts: Nodes, tmp_path: Path) -> None:
    parts["topics"]["train"] = write(tmp_path / "bad.csv", "text,label", "fine,Sun", ",Sun")
    with pytest.raises(InputError, match=r"^data\.parts\.topics: .*bad\.csv:3: empty text"):
        lines_of(MixtureSource(parts=parts), "train")
    bad = {"x": {"type": "text", "train": "none.txt"}}
    with pytest.raises(InputError, match=r"^data\.excluded\.x\.train: no such file: none\.txt"):
        MixtureSource(parts=parts, excluded=bad).check()
