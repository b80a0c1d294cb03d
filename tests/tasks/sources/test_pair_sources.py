"""Sources of pairs: columns, labels, scores, what is left out, and faults with their places."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import datasets
import pytest
import yaml  # type: ignore[import-untyped]

from elmo.errors import InputError
from elmo.registry import REGISTRY
from experiments.config.command import CONF_PATH
from tasks.sources.pairs.source import PairExample, PairSource
from tasks.sources.shared.split import Split

REGISTRY.discover("tasks")


def build(node: dict[str, Any]) -> PairSource:
    source = REGISTRY.build("data", node)
    assert isinstance(source, PairSource)
    return source


def published(name: str, **changes: Any) -> PairSource:
    """The source of a file of conf/data, with changes."""
    return build(yaml.safe_load((CONF_PATH / "data" / f"{name}.yaml").read_text()) | changes)


def files_of(path: Path, text: str, name: str = "pairs.csv", **changes: Any) -> PairSource:
    file = path / name
    file.write_text(text, encoding="utf-8")
    return build({"type": "pair_files", "train": str(file), "dev": str(file), "test": str(file), **changes})


def read(source: PairSource, split: Split = "train") -> list[PairExample]:
    return list(source.examples(split))


SICK = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n"
SICK += "1\tA dog runs\tAn animal runs\t4.5\tENTAILMENT\n2\tA dog runs\tNo dog runs\t3\tCONTRADICTION\n"


def test_sick_is_read_as_published_with_labels_or_with_scores(tmp_path: Path) -> None:
    (tmp_path / "SICK_train.txt").write_text(SICK)
    file = str(tmp_path / "SICK_train.txt")
    first, second = read(published("sick", train=file, dev=file, test=file))
    assert first == PairExample(f"{file}:2", "A dog runs", "An animal runs", label="entailment")
    assert second.label == "contradiction"
    scored = read(published("sick_relatedness", train=file, dev=file, test=file))
    assert [(pair.label, pair.score) for pair in scored] == [(None, 4.5), (None, 3.0)]


def test_pairs_of_snli_without_a_gold_label_are_left_out_and_counted_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels = ["neutral", "-", "entailment", "-"]
    rows = [
        {"gold_label": label, "sentence1": f"p{i}", "sentence2": f"h{i}"} for i, label in enumerate(labels)
    ]
    file = tmp_path / "snli_1.0_train.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    source = published("snli", train=str(file), dev=str(file), test=str(file))
    with caplog.at_level(logging.WARNING):
        pairs = read(source)
        assert read(source) == pairs
    assert [(pair.first, pair.second, pair.label) for pair in pairs] == [
        ("p0", "h0", "neutral"),
        ("p2", "h2", "entailment"),
    ]
    assert [record.getMessage() for record in caplog.records] == [
        f"{file}: 2 pairs with the label '-' were left out"
    ]


def test_a_split_of_the_hub_has_the_hubs_names_of_labels(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    names = datasets.ClassLabel(names=["entailment", "neutral", "contradiction"])
    features = {"premise": datasets.Value("string"), "hypothesis": datasets.Value("string"), "label": names}
    rows = {"premise": ["a", "b", "c"], "hypothesis": ["x", "y", "z"], "label": [2, -1, 0]}
    data = datasets.Dataset.from_dict(rows, features=datasets.Features(features))
    monkeypatch.setattr("tasks.sources.shared.hub_data.load_split", lambda *_, **__: data)
    expected = [("a", "x", "contradiction"), ("c", "z", "entailment")]
    for label_names in (None, {"0": "entailment", "1": "neutral", "2": "contradiction"}):
        pairs = read(published("snli", label_names=label_names))
        assert [(pair.first, pair.second, pair.label) for pair in pairs] == expected
    assert "stanfordnlp/snli:train: 1 pairs with the label '-1' were left out" in caplog.text


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "json", "parquet"])
def test_any_columns_of_any_table_are_read(tmp_path: Path, form: str) -> None:
    rows = {"nr": ["7", "8"], "q1": ["a b", "c"], "q2": ["d", "e, f"], "same": ["yes", "no"]}
    file = tmp_path / f"table.{form}"
    data = datasets.Dataset.from_dict(rows)
    if form in ("csv", "tsv"):
        data.to_csv(str(file), index=False, sep="," if form == "csv" else "\t", quoting=0)
    elif form == "parquet":
        data.to_parquet(str(file))
    else:
        data.to_json(str(file))
    node = {"type": "pair_files", "first_column": "q1", "second_column": "q2", "label_column": "same"}
    node |= {"id_column": "nr", **dict.fromkeys(("train", "dev", "test"), str(file))}
    assert read(build(node)) == [
        PairExample("7", "a b", "d", label="yes"),
        PairExample("8", "c", "e, f", label="no"),
    ]


def test_columns_of_a_table_without_header_are_numbers(tmp_path: Path) -> None:
    source = files_of(
        tmp_path, "0.5\ta\tb\n", "t.tsv", first_column=2, second_column=3, target="score", score_column=1
    )
    assert [(pair.first, pair.second, pair.score) for pair in read(source)] == [("a", "b", 0.5)]


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        ("first,second,label\na,b,x\na,,y\n", {}, r"pairs\.csv:3: empty text in column 'second'; .*=skip"),
        ("first,second,label\n ,b,x\n", {}, r"pairs\.csv:2: empty text in column 'first'"),
        ("first,second,label\na,b,\n", {}, r"pairs\.csv:2: no label in column 'label'"),
        ("first,other,label\na,b,x\n", {}, r"pairs\.csv:2: no column 'second' \(data\.second_column\)"),
        ("first,second,gold\na,b,x\n", {}, r"pairs\.csv:2: no column 'label' \(data\.label_column\)"),
        ("first,second,label\na,b\n", {}, r"pairs\.csv:2: 2 fields, but the first line has 3"),
        (
            "first,second,score\na,b,1\na,b,high\n",
            {"target": "score"},
            r"pairs\.csv:3: 'high' in column 'score' is no score",
        ),
        ("first,second,score\na,b,nan\n", {"target": "score"}, r"pairs\.csv:2: 'nan' in column 'score'"),
        ("first,second,score\na,b,\n", {"target": "score"}, r"pairs\.csv:2: '' in column 'score'"),
        ("first,second,label\n", {}, r"data\.train: there is no text in it"),
    ],
)
def test_a_fault_of_a_pair_names_file_and_line(
    tmp_path: Path, text: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read(files_of(tmp_path, text, **changes))


def test_pairs_with_an_empty_side_can_be_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = files_of(tmp_path, "first,second,label\na,b,x\n,b,y\nc,,y\n", empty_sides="skip")
    assert [pair.first for pair in read(source)] == ["a"]
    assert "2 pairs with an empty side were left out" in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"second_column": "first"}, "give each a column of its own"),
        ({"second_column": 2}, "give all columns by name, or all by number"),
    ],
)
def test_columns_that_contradict_each_other_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        files_of(tmp_path, "first,second,label\na,b,x\n", **changes)


def test_missing_splits_and_fractions_are_taken_by_label(tmp_path: Path) -> None:
    rows = [f"a{i},b{i},{'x' if i % 4 else 'y'}\n" for i in range(80)]
    (tmp_path / "all.csv").write_text("first,second,label\n" + "".join(rows))
    node = {"type": "pair_files", "train": str(tmp_path / "all.csv")}
    source = build(node)
    splits = {split: {pair.name for pair in source.examples(split)} for split in ("train", "dev", "test")}
    assert {name: len(found) for name, found in splits.items()} == {"train": 58, "dev": 6, "test": 16}
    assert len(set.union(*splits.values())) == 80
    half = list(build({**node, "fraction": 0.5}).read_examples("train", seed=1))
    assert len(half) == 29
    assert sum(pair.label == "y" for pair in half) in (7, 8)


def test_the_description_follows_what_is_read_of_a_pair(tmp_path: Path) -> None:
    text = "first,second,label,score\na,b,x,1\n"
    described = [
        files_of(tmp_path, text, **changes).describe_examples("train")
        for changes in ({}, {"target": "score"}, {"skipped_labels": ["x"]}, {"label_column": "score"})
    ]
    assert all(described[i] != described[j] for i in range(4) for j in range(i))
