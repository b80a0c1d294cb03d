"""Sense-tagged sentences from columns: documents, sentences, senses, and the faults of such files."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from elmo.errors import InputError
from tasks.sources.senses.sense_files import SenseFiles
from tasks.sources.senses.source import SenseSentence, SenseTag

SEMCOR = "# a01\nHe\t\t\t\nplays\tplay\tVERB\tplay.1\n\n"
SEMCOR += "a\t\t\t\nplay\tplay\tNOUN\tplay.7\n# a02\n\n# a03\n#\t\t\t\n"


def read(path: Path, text: str, **options: Any) -> list[SenseSentence]:
    path.write_text(text)
    return list(SenseFiles(files=str(path), **options).sentences())


def test_documents_sentences_and_senses_are_read_and_an_empty_document_has_none(tmp_path: Path) -> None:
    path = tmp_path / "text.tsv"
    verb, noun = SenseTag(1, "play", "VERB", "play.1"), SenseTag(1, "play", "NOUN", "play.7")
    assert read(path, SEMCOR) == [
        SenseSentence(f"{path}:2", "a01", ("He", "plays"), (verb,)),
        SenseSentence(f"{path}:5", "a01", ("a", "play"), (noun,)),
        SenseSentence(f"{path}:10", "a03", ("#",), ()),  # a word, as its columns follow
    ]
    with gzip.open(tmp_path / "text.tsv.gz", "wt") as file:
        file.write(SEMCOR)
    packed = SenseFiles(files=str(tmp_path / "text.tsv.gz")).sentences()
    assert [sentence.words for sentence in packed] == [("He", "plays"), ("a", "play"), ("#",)]


def test_columns_are_numbered_and_each_file_may_be_a_document(tmp_path: Path) -> None:
    options = {"sense_column": 1, "word_column": 3, "lemma_column": 2, "tag_column": None}
    (sentence,) = read(tmp_path / "a.tsv", "s1\trun\tran\n", document_prefix=None, **options)
    assert sentence == SenseSentence(
        f"{tmp_path}/a.tsv:1", "a.tsv", ("ran",), (SenseTag(0, "run", "", "s1"),)
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a\t\t\t\nb\t\t\n", "text.tsv:2: 3 columns, but the file's first word has 4"),
        ("a b\n", "text.tsv:1: no column 2 (data.lemma_column); the line 'a b' has 1 column, which tabs"),
        ("a\t\t\t\n\tx\tVERB\ts\n", "text.tsv:2: no word in column 1"),
        ("a\t\tVERB\ts.1\n", "text.tsv:1: the sense 's.1' of no lemma"),
    ],
)
def test_a_fault_of_a_line_names_file_and_line(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path / "text.tsv", text)
    assert fault in str(error.value)


def test_missing_files_and_columns_that_are_one_are_told() -> None:
    with pytest.raises(InputError, match=r"data\.files: missing"):
        SenseFiles(files=None).check()
    with pytest.raises(InputError, match=r"data\.files: no such file: nowhere\.tsv"):
        SenseFiles(files="nowhere.tsv").check()
    with pytest.raises(InputError, match="expected different columns"):
        SenseFiles(files="x", lemma_column=1)
    with pytest.raises(InputError, match=r"data\.document_prefix"):
        SenseFiles(files="x", document_prefix="")


def test_what_decides_the_sentences_is_described(tmp_path: Path) -> None:
    path = tmp_path / "text.tsv"
    path.write_text(SEMCOR)
    first, second = (SenseFiles(files=str(path), tag_column=tag).describe() for tag in (3, None))
    assert first["files"] == [path]
    assert first != second
