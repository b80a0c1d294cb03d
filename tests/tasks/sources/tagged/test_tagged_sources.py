"""Sources of tagged sentences: what they read, how they split, and how they tell faults."""

from __future__ import annotations

import gzip
import json
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


def test_sentences_of_conllu_without_words_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "a.txt", "# one\n\n\n# two\n1 a X\n\n0.1 b Y\n\n# three\n1 c X\n\n\n# four")
    sentences = read(path, columns=["id", "word", "tag"], word_column="word", tag_column="tag", scheme="none")
    assert [sentence.words for sentence in sentences] == [("a",), ("c",)]
    assert f"{path}: 3 sentences without words were left out" in caplog.text


def test_shared_task_files_are_read_by_their_presets(tmp_path: Path) -> None:
    news = write(tmp_path / "eng.testb", "-DOCSTART- -X- O O\n\nEU NNP I-NP I-ORG\nFri NNP B-NP I-PER\n")
    assert [s.tags for s in preset("conll2003", test=news, scheme="iob1").examples("test")] == [
        ("B-ORG", "B-PER")
    ]
    chunks = preset("conll2003", test=news, scheme="iob1", tag_column="chunk_tags")
    assert [s.tags for s in chunks.examples("test")] == [("B-NP", "B-NP")]
    table = [
        "#begin document (bc/x); part 000",
        "bc/x  0  0  Mr.    NNP  (NP*  -   -   -  A  (PERSON*  (ARG0*  (3",
        "bc/x  0  1  Li     NNP  *)    -   -   -  A  *)        *)      3)",
        "bc/x  0  2  saw    VBD  *     see 01  1  A  *         (V*)    -",
        "bc/x  0  3  Rome   NNP  *     -   -   -  A  (GPE)     (ARG1*) -",
        "",
        "bc/x  0  0  Yes    UH   *     -   -   -  A  *         -",
        "",
        "#end document",
    ]
    path = write(tmp_path / "x.v4_gold_conll", "\n".join(table))
    assert list(preset("ontonotes", test=path).examples("test")) == [
        TaggedSentence(f"{path}:2", ("Mr.", "Li", "saw", "Rome"), ("B-PERSON", "I-PERSON", "O", "B-GPE")),
        TaggedSentence(f"{path}:7", ("Yes",), ("O",)),
    ]
    roles = ("B-ARG0", "I-ARG0", "B-V", "B-ARG1")
    assert list(preset("srl_files", test=path).examples("test")) == [
        TaggedSentence(f"{path}:4", ("Mr.", "Li", "saw", "Rome"), roles, predicate=2)
    ]


def test_each_predicate_of_a_sentence_is_an_example(tmp_path: Path) -> None:
    """As in CoNLL-2005: word, syntax, entities, sense, predicate, and the arguments of each predicate."""
    rows = ["He * * - - (A0*) (A0*)", "wants * * 01 want (V*) *", "to * * - - (A1* *", "go * * 01 go *) (V*)"]
    path = write(tmp_path / "a.txt", "\n".join(rows) + "\n")
    columns = {
        "word_column": 1,
        "predicate_column": 5,
        "first_argument_column": 6,
        "last_argument_column": -1,
    }
    source = preset("srl_files", test=path, **columns)
    assert source.has_predicates and source.has_spans
    assert list(source.examples("test")) == [
        TaggedSentence(f"{path}:2", ("He", "wants", "to", "go"), ("B-A0", "B-V", "B-A1", "I-A1"), 1),
        TaggedSentence(f"{path}:4", ("He", "wants", "to", "go"), ("B-A0", "O", "O", "B-V"), 3),
    ]
    assert [batch.lines for batch in source.lines("test")] == [["He wants to go"]]
    with pytest.raises(InputError, match=r"a\.txt:1: the sentence has 2 predicates .*, but 1 columns of arg"):
        list(preset("srl_files", test=path, **(columns | {"first_argument_column": 7})).examples("test"))


def test_a_sentence_may_have_ten_thousand_words_and_any_characters(tmp_path: Path) -> None:
    words = ["#", "\u00a0", "a\u2028b", "\u200b", "\ufeff", "O", "-", "Stra\u00dfe"]
    lines = [f"{word}\tO" for word in (*words, *map(str, range(10_000)))]
    path = write(tmp_path / "a.txt", b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    for delimiter in ("tab", "any"):
        (sentence,) = read(path, delimiter=delimiter)
        assert sentence.words[:8] == tuple(words) and len(sentence.words) == 10_008


def test_tables_have_lists_of_words_and_tags(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [
        {"tokens": ["EU", "says"], "tags": ["B-ORG", "O"]},
        {"tokens": [], "tags": []},
        {"tokens": ["a\tb"], "tags": ["I-ORG"]},
    ]
    path = write(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    expected = [
        TaggedSentence(f"{path}:1", ("EU", "says"), ("B-ORG", "O")),
        TaggedSentence(f"{path}:3", ("a\tb",), ("B-ORG",), repaired=1),
    ]
    assert read(path, word_column="tokens", tag_column="tags") == expected
    assert "1 sentences without words were left out" in caplog.text
    table = pyarrow.table({"tokens": [["EU", "says"]], "tags": [[1, 0]]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    (numbered,) = read(
        str(tmp_path / "a.parquet"), word_column="tokens", tag_column="tags", tag_names=["O", "B-ORG"]
    )
    assert numbered.tags == ("B-ORG", "O")
    (unnamed,) = read(str(tmp_path / "a.parquet"), word_column="tokens", tag_column="tags", scheme="none")
    assert unnamed.tags == ("1", "0")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"tokens": ["a"]}, r"a\.jsonl:1: no column 'tags' \(data\.tag_column\), only tokens"),
        (
            {"tokens": "a b", "tags": ["O"]},
            r"a\.jsonl:1: column 'tokens' \(data\.word_column\) has 'a b' \(str\)",
        ),
        ({"tokens": ["a", "b"], "tags": ["O"]}, r"a\.jsonl:1: 2 words, but 1 tags"),
        ({"tokens": ["a"], "tags": ["X"]}, r"a\.jsonl:1: 'X' is no tag of data\.scheme=bio"),
        (
            {"tokens": ["a"], "tags": [7]},
            r"a\.jsonl:1: tag 7 has no name; data\.tag_names has those of 0 to 1",
        ),
        ({"tokens": ["a"], "tags": [None]}, r"a\.jsonl:1: None is no tag \(data\.tag_column=tags\)"),
        (
            {"tokens": ["a", ""], "tags": ["O", "O"]},
            r"a\.jsonl:1: '' is no word \(data\.word_column=tokens\)",
        ),
        ({"tokens": ["a\nb"], "tags": ["O"]}, r"a\.jsonl:1: 'a\\nb' is no word"),
        ({"tokens": ["\ud800"], "tags": ["O"]}, r"a\.jsonl:1: character 1 is half of a surrogate pair"),
    ],
)
def test_a_fault_of_a_table_is_told_with_its_line(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "a.jsonl", json.dumps(row) + "\n")
    with pytest.raises(InputError, match=message):
        read(path, word_column="tokens", tag_column="tags", tag_names=["O", "B-a"])


def test_the_hub_names_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    names = datasets.ClassLabel(names=["O", "B-person", "I-person"])
    features = {"tokens": datasets.List(datasets.Value("string")), "ner_tags": datasets.List(names)}
    rows = {"tokens": [["Ann", "Lee", "ran"]], "ner_tags": [[1, 2, 0]]}
    data = datasets.Dataset.from_dict(rows, features=datasets.Features(features))
    asked: list[Any] = []

    def load(*args: Any, **options: Any) -> datasets.Dataset:
        asked.append((args, options["config"], options["split"]))
        return data

    monkeypatch.setattr("tasks.sources.shared.hub_data.load_split", load)
    source = preset("wnut17")
    source.check_examples()
    assert list(source.examples("dev")) == [
        TaggedSentence(
            "flaitenberger/wnut_17:validation:1", ("Ann", "Lee", "ran"), ("B-person", "I-person", "O")
        )
    ]
    assert asked == [(("flaitenberger/wnut_17",), None, "validation")]
    assert source.describe_examples("dev")["hub_split"] == "validation"
    treebank = preset("ud", config="fr_gsd", tag_column="ner_tags")
    assert [sentence.tags for sentence in treebank.examples("test")] == [("B-person", "I-person", "O")]


def test_missing_splits_are_taken_off_train_and_a_fraction_is_nested(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "".join(f"word{number} O\n\n" for number in range(100)))
    source = TaggedFiles(train=path)
    splits = [{sentence.name for sentence in source.examples(split)} for split in SPLITS]
    assert [len(split) for split in splits] == [72, 8, 20] and len(set.union(*splits)) == 100
    assert source.describe_examples("dev")["taken"] == {"test": 0.2, "dev": 0.1}
    small, large = (
        {s.name for s in TaggedFiles(train=path, fraction=share).read_examples("train", seed=3)}
        for share in (0.1, 0.5)
    )
    assert len(small) == 7 and len(large) == 36 and small < large < splits[0]


def test_tagged_sentences_are_running_text_too(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "He O\nruns O\n\n. O\n\n. O\n")
    source = TaggedFiles(train=path, dev=path, test=path)
    (batch,) = source.read_lines("train", seed=1)
    assert (batch.lines, batch.first_line, batch.prose) == (["He runs", ".", "."], 1, False)
    assert source.describe("train") != source.describe_examples("train")


def test_a_column_zero_is_refused_at_once() -> None:
    with pytest.raises(InputError, match=r"data\.word_column: 0 is no column"):
        TaggedFiles(word_column=0)
