"""Records of tables: by their columns, in their order, each with the line that it begins in."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from elmo.errors import InputError
from experiments.io.line_reader import LineReader
from experiments.io.record_reader import RecordReader
from tasks.sources.labelled.text_table import TextTable

ROWS = [
    {"review": 'a "b", c', "label": "x"},
    {"review": "two\nlines", "label": "y"},
    {"review": "NA", "label": "z"},
]
CSV = 'review,label\n"a ""b"", c",x\n"two\nlines",y\nNA,z\n'


def reader_of(source: str, *, format: str = "auto", **columns: Any) -> RecordReader:
    table = TextTable(**{"text_column": "review", **columns})
    return RecordReader(LineReader(source, max_bytes=1000), format=format, table=table)


def records(reader: RecordReader) -> list[tuple[int, dict[Any, Any]]]:
    return [(number, reader.record(raw)) for number, _, raw in reader]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_every_kind_of_table_gives_its_rows(tmp_path: Path, suffix: str) -> None:
    path, rows = tmp_path / f"new.{suffix}", ROWS
    if suffix == "csv":
        path.write_text(CSV)
    elif suffix == "tsv":
        rows = [row | {"review": row["review"].replace("\n", " ")} for row in ROWS]
        path.write_text(
            "".join("\t".join(row) + "\n" for row in [list(ROWS[0]), *(r.values() for r in rows)])
        )
    elif suffix == "json":
        path.write_text(json.dumps(rows))
    elif suffix == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    lines = {"csv": [2, 3, 5], "tsv": [2, 3, 4]}.get(suffix, [1, 2, 3])
    assert records(reader_of(str(path))) == list(zip(lines, rows, strict=True))


def test_a_table_without_a_name_is_known_by_the_columns_of_its_first_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def read(text: str, **columns: Any) -> list[dict[Any, Any]]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        return [record for _, record in records(reader_of("-", **columns))]

    assert read(CSV) == ROWS
    assert read("id|review\n7|a\n", delimiter="|") == [{"id": "7", "review": "a"}]
    assert read("A review, long\n") == [{"text": "A review, long"}]
    assert read('"' + "a," * 200 + "\n") == [{"text": '"' + "a," * 200}]


def test_a_table_has_the_delimiter_and_the_encoding_of_the_training_data(tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    path.write_bytes("review;label\nna\u00efve, \u00e9t\u00e9;x\n".encode("latin-1"))
    expected = {"review": "na\u00efve, \u00e9t\u00e9", "label": "x"}
    assert records(reader_of(str(path), delimiter=";", encoding="latin-1")) == [(2, expected)]
    path.write_bytes("1;na\u00efve\n".encode())
    numbered = reader_of(str(path), text_column=2, delimiter=";", encoding="latin-1")
    assert records(numbered) == [(1, {1: "1", 2: "na\u00efve"})]


def test_a_row_that_does_not_fit_stops_no_others(tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    path.write_text("review,label\none\ntwo,x\n")
    reader = reader_of(str(path))
    (_, _, bad), (number, _, good) = reader
    with pytest.raises(InputError, match=r"^1 field, but the first line has 2$"):
        reader.record(bad)
    assert (number, reader.record(good)) == (3, {"review": "two", "label": "x"})


@pytest.mark.parametrize(
    ("name", "format", "content", "message"),
    [
        ("a.csv", "text", CSV, r"^input: .*a\.csv is a table, and its lines are no texts; format=auto reads"),
        (
            "a.csv",
            "auto",
            "words,label\na,b\n",
            r"a\.csv:1: no column 'review' \(data\.text_column\), only words",
        ),
        (
            "a.csv",
            "auto",
            "words;review\na;b\n",
            r"only words;review; data\.delimiter=\.\.\. names what separates",
        ),
        ("a.csv", "auto", 'review,label\n"a,b\n', r"a\.csv:2: unexpected end of data"),
        ("a.csv", "auto", b"review,label\na,\xff\n", r"a\.csv:2: invalid UTF-8 at byte 3 \(0xff\)"),
        ("a.parquet", "auto", "x", r"^input: .*a\.parquet cannot be read"),
        ("a.csv.zst", "auto", "x", r"a\.csv\.zst: damaged zstd file"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_in_one_line(
    tmp_path: Path, name: str, format: str, content: str | bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message) as fault:
        list(reader_of(str(path), format=format))
    assert "\n" not in str(fault.value)
