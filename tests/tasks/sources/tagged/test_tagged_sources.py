"""Sources of tagged sentences: what they read, how they split, and how they tell faults."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from places import SHARED

from elmo.errors import InputError
from elmo.registry import REGISTRY
from experiments.config.command import CONF_PATH
from tasks.sources.shared.split import SPLITS
from tasks.sources.tagged.source import TaggedSentence, TaggedSource
from tasks.sources.tagged.tagged_files import TaggedFiles

REGISTRY.discover("tasks.sources")
DATA = SHARED / "data"


def write(path: Path, content: str | bytes) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def preset(preset_name: str, /, **values: Any) -> TaggedSource:
    """The source of a yaml of conf/data with some values changed."""
    node = yaml.safe_load((CONF_PATH / "data" / f"{preset_name}.yaml").read_text(encoding="utf-8"))
    source = REGISTRY.build("data", node | values)
    assert isinstance(source, TaggedSource)
    return source


def read(path: str, **options: Any) -> list[TaggedSentence]:
    return list(TaggedFiles(test=path, **options).examples("test"))


@pytest.mark.parametrize(
    ("name", "files", "sizes", "num_words", "num_tags"),
    [
        ("ewt", "{}.conllu.gz", (12544, 2001, 2077), (204577, 25147, 25094), 49),
        ("wnut17", "{}.conll", (3394, 1009, 1287), (62730, 15733, 23394), 13),
    ],
)
def test_published_files_are_read_whole(
    name: str, files: str, sizes: tuple[int, ...], num_words: tuple[int, ...], num_tags: int
) -> None:
    if not (DATA / name).is_dir():
        pytest.skip(f"{DATA / name} is not there")
    source = preset(name, **{split: str(DATA / name / files.format(split)) for split in SPLITS})
    source.check_examples()
    splits = [list(source.examples(split)) for split in SPLITS]
    assert tuple(map(len, splits)) == sizes
    assert tuple(sum(len(sentence.words) for sentence in split) for split in splits) == num_words
    assert len({tag for sentence in splits[0] for tag in sentence.tags}) == num_tags
    assert not any(sentence.repaired for split in splits for sentence in split)
    assert len({sentence.name for sentence in splits[0]}) == sizes[0]


def test_columns_have_numbers_from_either_end(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.txt",
        "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n\n# NN B-NP O\n",
    )
    assert read(path, delimiter="space") == [
        TaggedSentence(f"{path}:3", ("EU", "rejects"), ("B-ORG", "O")),
        TaggedSentence(f"{path}:7", ("#",), ("O",)),
    ]
    assert [s.tags for s in read(path, tag_column=2, scheme="none")] == [("NNP", "VBZ"), ("NN",)]
    assert [s.tags for s in read(path, tag_column=-2)] == [("B-NP", "B-VP"), ("B-NP",)]
    assert [s.words for s in read(path, has_comments=True)] == [("EU", "rejects")]


def test_ranges_and_empty_words_of_conllu_are_no_words(tmp_path: Path) -> None:
    rest = "\t_" * 6
    lines = ["1\tI\tI\tPRON", "2-3\tdon't\t_\t_", "2\tdo\tdo\tAUX", "2.1\tx\tx\t_", "3\tn't\tnot\tPART"]
    content = "\n".join(["# text = I don't", *(line + rest for line in lines)])  # no blank line at the end
    path = str(tmp_path / "a.conllu.gz")
    with gzip.open(path, "wb") as file:
        file.write(content.encode())
    assert read(path, word_column="form", tag_column="upos", delimiter="tab", scheme="none") == [
        TaggedSentence(f"{path}:2", ("I", "do", "n't"), ("PRON", "AUX", "PART"))
    ]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("a b O\nc O\n", {}, r"a\.txt:2: 2 columns, but the first line of the sentence has 3"),
        (
            "a O\n",
            {"tag_column": 3},
            r"a\.txt:1: no column 3 \(data\.tag_column\); the line 'a O' has 2 columns, which",
        ),
        (
            "a O\n",
            {"delimiter": "tab"},
            r"a\.txt:1: data\.word_column and data\.tag_column are one column of 1; data\.delimiter",
        ),
        ("a\tO\n", {"delimiter": "space", "tag_column": 2}, r"a\.txt:1: no column 2 .* has 1 column, which"),
        (
            "a O\n",
            {"tag_column": "ner"},
            r"a\.txt:1: no column 'ner' \(data\.tag_column\), they have only num",
        ),
        ("a O\n", {"columns": ["x"], "tag_column": "ner"}, r"no column 'ner' \(data\.tag_column\), only x"),
        (
            "a B O\n",
            {"columns": ["x", "y"], "tag_column": "y"},
            r"a\.txt:1: expected the 2 columns of data\.col",
        ),
        ("a\tO\n\tO\n", {"delimiter": "tab"}, r"a\.txt:2: nothing in column 1"),
        ("# c\n\na O\nb NN\n", {"has_comments": True}, r"a\.txt:4: 'NN' is no tag of data\.scheme=bio"),
        ("a O\n", {"columns": ["id", "tag"]}, r"a\.txt:1: 'a' is no number of a word in CoNLL-U"),
        ("\n\n", {}, r"data\.test: there is no"),
    ],
)
def test_a_fault_of_columns_is_told_with_its_line(
    tmp_path: Path, content: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as fault:
        read(write(tmp_path / "a.txt", content), **options)
    assert "\n" not in str(fault.value)


def test_a_column_zero_is_refused_at_once() -> None:
    with pytest.raises(InputError, match=r"data\.word_column: 0 is no column"):
        TaggedFiles(word_column=0)
