"""SQuAD as a source: what it gives from official files and from the hub's rows, and how it tells faults."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from places import SHARED

from elmo.errors import InputError
from tasks.sources.questions.source import Answer, Passage, Question
from tasks.sources.questions.squad import SquadSource

FILES = SHARED / "data" / "squad"


def article(title: str, *contexts: str) -> dict[str, Any]:
    """An article whose passages have one question each, about their first word."""
    return {"title": title, "paragraphs": [paragraph(f"{title}{i}", text) for i, text in enumerate(contexts)]}


def paragraph(id: str, context: str) -> dict[str, Any]:
    answers = [{"text": context.split()[0], "answer_start": 0}]
    return {"context": context, "qas": [{"id": id, "question": "Which word is first?", "answers": answers}]}


def write(path: Path, articles: list[dict[str, Any]]) -> str:
    path.write_text(json.dumps({"version": "1.1", "data": articles}), encoding="utf-8")
    return str(path)


def source_of(**changes: Any) -> SquadSource:
    arguments: dict[str, Any] = {"name": "no/matter", "revision": None, "dev_every": 2, "language": "en"}
    return SquadSource(**{**arguments, **dict.fromkeys(("train", "dev", "test")), **changes})


def contexts(source: SquadSource, split: Any) -> list[str]:
    return [passage.context for passage in source.passages(split)]


def test_an_official_file_gives_its_passages_with_their_places(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", [article("A", "one two", "drei vier")])
    _, second = source_of(test=path).passages("test")
    question = Question("A1", "Which word is first?", (Answer("drei", 0),))
    assert second == Passage(f"{path}: data[0].paragraphs[1]", "drei vier", (question,))


def test_dev_is_every_nth_article_whole(tmp_path: Path) -> None:
    articles = [
        article("A", "a b", "c d"),
        article("B", "e f", "g h"),
        article("C", "i j"),
        article("D", "k"),
    ]
    source = source_of(train=write(tmp_path / "a.json", articles))
    assert contexts(source, "dev") == ["e f", "g h", "k"]
    assert contexts(source, "train") == ["a b", "c d", "i j"]


def test_a_dev_file_leaves_the_training_data_whole(tmp_path: Path) -> None:
    train = write(tmp_path / "a.json", [article("A", "a b"), article("B", "c d")])
    source = source_of(train=train, dev=write(tmp_path / "b.json", [article("C", "e f")]))
    assert (contexts(source, "train"), contexts(source, "dev")) == (["a b", "c d"], ["e f"])


def test_an_unanswerable_question_has_no_answers(tmp_path: Path) -> None:
    data = article("A", "one two")
    data["paragraphs"][0]["qas"][0] |= {"answers": [], "is_impossible": True, "plausible_answers": []}
    (passage,) = source_of(test=write(tmp_path / "a.json", [data])).passages("test")
    assert passage.questions[0].answers == ()


def test_rows_of_the_hub_are_grouped_to_the_same_passages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    def row(id: str, context: str) -> dict[str, Any]:
        answers = {"text": [context.split()[0]], "answer_start": [0]}
        return {"id": id, "title": "A", "context": context, "question": "Which?", "answers": answers}

    rows = [row("1", "one two"), row("2", "one two"), row("3", "three")]
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: datasets.Dataset.from_list(rows))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    first, second = source_of(name="an/example").passages("test")
    assert first.name == "an/example:validation:1"
    assert first.context == "one two"
    assert first.questions == tuple(Question(id, "Which?", (Answer("one", 0),)) for id in "12")
    assert (second.name, second.context) == ("an/example:validation:3", "three")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"data": [', r"a\.json:1: no JSON \(Expecting value, column 11\)"),
        ("[1]", r"a\.json: expected an object with `data`, got \[1\] \(list\)"),
        ('{"version": "1.1"}', r"a\.json: data: missing; there is only version"),
        ('{"data": {}}', r"a\.json: data: expected a list, got \{\} \(dict\)"),
        ('{"data": [{"title": ["A"], "paragraphs": []}]}', r"data\[0\]\.title: expected text, got \['A'\]"),
        ('{"data": %s}' % ("9" * 5000), r"a\.json:1: no JSON that can be read \(Exceeds the limit"),
        ("[" * 99_999, r"a\.json:1: no JSON that can be read"),
        ('{"data": [3]}', r"a\.json: data\[0\]: expected an object, got 3 \(int\)"),
        ('{"data": [{"title": "A"}]}', r"a\.json: data\[0\]\.paragraphs: missing; there is only title"),
    ],
)
def test_a_damaged_file_is_told_with_the_place(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(InputError, match=message):
        contexts(source_of(test=str(tmp_path / "a.json")), "test")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda q: q.pop("id"), r"paragraphs\[1\]\.qas\[0\]\.id: missing; there is only question, answers"),
        (lambda q: q.pop("answers"), r"qas\[0\]\.answers: missing"),
        (lambda q: q.update(question=None), r"qas\[0\]\.question: expected text, got None \(NoneType\)"),
        (lambda q: q.update(question="\ud83d?"), r"question: character 1 is half of a surrogate pair"),
        (lambda q: q["answers"][0].pop("text"), r"qas\[0\]\.answers\[0\]\.text: missing"),
        (
            lambda q: q["answers"][0].update(answer_start="3"),
            r"answer_start: expected a whole number, got '3'",
        ),
        (
            lambda q: q.update(id="A0"),
            r"paragraphs\[1\]: the question id 'A0' occurs twice, first in .*\[0\]$",
        ),
    ],
)
def test_a_damaged_question_is_told_with_the_place(
    tmp_path: Path, damage: Callable[[dict[str, Any]], None], message: str
) -> None:
    data = article("A", "one two", "three four")
    damage(data["paragraphs"][1]["qas"][0])
    source = source_of(test=write(tmp_path / "a.json", [data]))
    with pytest.raises(InputError, match=r"a\.json: data\[0\]\..*" + message) as fault:
        contexts(source, "test")
    assert "\n" not in str(fault.value)


def test_options_that_make_no_sense_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.dev_every: 1 must be 2 or more"):
        source_of(dev_every=1)
    with pytest.raises(InputError, match=r"data\.test: no such file: .*none\.json"):
        source_of(test=str(tmp_path / "none.json")).check_examples()
    few = source_of(train=write(tmp_path / "a.json", [article("A", "a b")]))
    with pytest.raises(InputError, match=r"data\.dev_every: 2 leaves nothing for dev of 1 articles"):
        contexts(few, "dev")


def test_one_file_for_two_splits_is_refused(tmp_path: Path) -> None:
    path, other = (write(tmp_path / f"{name}.json", [article("A", "a b")]) for name in "ab")
    for splits in (("train", "test"), ("train", "dev"), ("dev", "test")):
        files = dict.fromkeys(splits, path)
        with pytest.raises(InputError, match=rf"data\.{splits[1]}: .*a\.json is also in data\.{splits[0]}"):
            source_of(**files).check_examples()
    source_of(train=path, test=other).check_examples()
    source_of(train=path, test=path).check_examples(["test"])


def test_another_split_changes_the_description(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", [article("A", "a b")])
    source = source_of(train=path)
    before = source.describe_examples("train")
    assert before == source.describe_examples("train")
    assert before != source.describe_examples("dev")
    assert before != source_of(train=path, dev_every=3).describe_examples("train")


@pytest.mark.skipif(not FILES.exists(), reason="SQuAD is not beside this checkout (shared/data/squad)")
def test_squad_has_its_published_counts() -> None:
    files = {split: str(FILES / f"{name}-v1.1.json") for split, name in (("train", "train"), ("test", "dev"))}
    source = source_of(**files, dev_every=20)
    counts = {
        split: sum(len(p.questions) for p in source.passages(split)) for split in ("train", "dev", "test")
    }
    assert counts["train"] + counts["dev"] == 87_599
    assert counts["test"] == 10_570
    assert 0.03 < counts["dev"] / 87_599 < 0.07
