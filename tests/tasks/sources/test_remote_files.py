"""Text at addresses of fsspec is read as local files are, and known by what its server tells."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow
import pyarrow.parquet
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import known_implementations

from elmo.errors import InputError
from elmo.text.tokenizers.whitespace import WhitespaceTokenizer
from experiments import prepare
from experiments.config.command import run_command
from tasks.language_model import preparation
from tasks.language_model.preparation import prepare_corpus
from tasks.language_model.shards import numbering
from tasks.sources.labelled.labelled_files import LabelledFiles
from tasks.sources.questions.squad import SquadSource
from tasks.sources.shared.fingerprint import fingerprint_of
from tasks.sources.shared.split import SPLITS
from tasks.sources.text.hub import HubSource
from tasks.sources.text.text import TextSource


class FlakyFile(io.BytesIO):
    """Content of which each reading gives a few bytes, up to the place where the connection breaks."""

    def __init__(self, content: bytes, end: int | None) -> None:
        super().__init__(content)
        self.end = end

    def read(self, size: int | None = -1, /) -> bytes:
        if self.end is not None and self.tell() >= self.end:
            raise RuntimeError("connection\nlost")  # of no kind that is known here
        return super().read(min(size or 0, 500))


class FlakyFileSystem(MemoryFileSystem):
    protocol = "flaky"
    store: dict[str, Any] = {}  # noqa: RUF012  # fsspec's own form
    cut_to: int | None = None  # the bytes that are sent before the connection ends without an error
    end: int | None = None

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(path.removeprefix("flaky://"))

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        if "secret" in path:
            raise PermissionError("Forbidden")
        facts = super().info(path, **options)
        return {key: facts[key] for key in facts if "timeless" not in path or key != "created"}

    def _open(self, path: str, *arguments: Any, **options: Any) -> Any:
        opened = super()._open(path, *arguments, **options)
        return FlakyFile(opened.read()[: self.cut_to], self.end) if opened.size else opened


@pytest.fixture(autouse=True)
def memory() -> Iterator[MemoryFileSystem]:
    fsspec.register_implementation("flaky", FlakyFileSystem, clobber=True)
    file_system = fsspec.filesystem("memory")
    yield file_system
    MemoryFileSystem.store.clear()
    FlakyFileSystem.store.clear()


def zstd(content: bytes) -> bytes:
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, "zstd") as file:
        file.write(content)
    return sink.getvalue().to_pybytes()


def read(train: str, **options: Any) -> list[tuple[str, int, list[str]]]:
    source = TextSource(train=train, split_every=99, **options)
    source.check()
    return [(batch.name, batch.first_line, batch.lines) for batch in source.lines("train")]


def test_addresses_and_globs_are_read_as_local_files_and_named_by_their_urls(
    memory: MemoryFileSystem, tmp_path: Path
) -> None:
    text = "one zwölf\n\nthree 😀\n"
    lines = text.splitlines()
    memory.pipe_file("/texts/part-2.txt.gz", gzip.compress(text.encode()))
    memory.pipe_file("/texts/part-10.txt.zst", zstd(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()))
    memory.pipe_file("/texts/why?.txt", text.encode("utf-16"))
    assert read("memory://texts/part-*.txt.*") == [
        ("memory://texts/part-10.txt.zst", 1, lines),
        ("memory://texts/part-2.txt.gz", 1, lines),
    ]
    assert read("memory://texts/why?.txt", encoding="utf-16") == [("memory://texts/why?.txt", 1, lines)]
    with memory.open("/texts/all.zip", "wb") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", text)
    assert read("zip://a.txt::memory://texts/all.zip")[0][2] == lines
    assert read("memory://texts/all.zip") == [("memory://texts/all.zip", 1, lines)]
    (tmp_path / "a.txt").write_text(text)
    assert read(f"file://{tmp_path}/*.txt") == [(str(tmp_path / "a.txt"), 1, lines)]


def test_a_remote_text_is_known_without_being_read_and_is_another_one_when_it_changes(
    memory: MemoryFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fingerprint(train: str) -> str:
        return fingerprint_of(TextSource(train=train).describe("train"), cache_path=tmp_path)

    memory.pipe_file("/a.txt", b"one\n")
    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "_open", None)
        before = fingerprint("memory://a.txt")
        assert fingerprint("memory://*.txt") == before
    memory.pipe_file("/a.txt", b"two\n")
    assert fingerprint("memory://a.txt") != before


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ("memory://none.txt", r"data\.train: memory://none\.txt: not found \("),
        ("memory://*.csv", r"data\.train: no file matches memory://\*\.csv"),
        ("memory://folder", r"data\.train: memory://folder is a directory; .*'memory://folder/\*\.txt'"),
        ("memory://folder/empty", r"data\.train: memory://folder/empty is an empty file"),
        ("memori://a.txt", r"data\.train: memori://a\.txt: unknown protocol 'memori'; nearest: memory"),
        ("far://a.txt", r"data\.train: far://a\.txt: needs the package no_such; pip install no_such"),
        ("odd://a.txt", r"data\.train: odd://a\.txt: needs a package \(install odd-fs\)"),
        ("flaky://secret.txt", r"data\.train: flaky://secret\.txt: no access \(Forbidden\)"),
        ("flaky://timeless.txt", r"data\.train: flaky://timeless\.txt: its server tells neither a hash nor"),
    ],
)
def test_files_that_cannot_be_read_are_told_before_reading(
    train: str, message: str, memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = known_implementations
    monkeypatch.setitem(known, "far", {"class": "no_such.FileSystem", "err": "install no_such"})
    monkeypatch.setitem(known, "odd", {"class": "no_such.FileSystem", "err": "install odd-fs"})
    memory.pipe_file("/folder/empty", b"")
    FlakyFileSystem().pipe_file("/timeless.txt", b"one\n")
    with pytest.raises(InputError, match=message) as fault:
        TextSource(train=train).check()
    assert "\n" not in str(fault.value)


def test_faults_of_a_text_are_told_with_its_address(memory: MemoryFileSystem) -> None:
    memory.pipe_file("/a.txt", b"ok\nbad \xff here\n")
    memory.pipe_file("/b.txt.zst", zstd(b"one\n" * 99)[:-9])
    for train, message in (
        ("memory://a.txt", r"memory://a\.txt:2: invalid UTF-8 at byte 5 \(0xff\)"),
        ("memory://b.txt.zst", r"memory://b\.txt\.zst: damaged zstd file"),
    ):
        with pytest.raises(InputError, match=message):
            read(train)
    with pytest.raises(InputError, match=r"data\.dev: memory:///a\.txt is also in data\.train"):
        TextSource(train="memory://a.txt", dev="memory:///a.txt").check()


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstd])
def test_a_connection_that_breaks_is_told_and_a_new_start_goes_on(
    compress: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbering, "TASK_SIZE", 2000)
    monkeypatch.setattr(preparation, "SHARD_TASKS", 2)
    monkeypatch.setattr("tasks.sources.shared.local_files.BATCH_SIZE", 50)
    suffix = {bytes: "", gzip.compress: ".gz"}.get(compress, ".zst")
    text = "".join(f"sentence {number * 7919 % 10007}\n" for number in range(1000)).encode()
    content = compress(text)
    FlakyFileSystem().pipe_file("/a.txt", text)
    FlakyFileSystem().pipe_file(f"/b.txt{suffix}", content)
    options: dict[str, Any] = {"dev": "flaky://a.txt", "test": "flaky://a.txt"}
    source = TextSource(train=f"flaky://b.txt{suffix}", **options)

    def store(cache: str) -> dict[str, bytes]:
        corpus = prepare_corpus(
            source, WhitespaceTokenizer(), cache_path=tmp_path / cache, split="train", num_workers=1
        )
        return {path.name: path.read_bytes() for path in corpus.path.iterdir()}

    for attribute, reason in (("end", "connection lost"), ("cut_to", "it ends after .* bytes")):
        monkeypatch.setattr(FlakyFileSystem, attribute, len(content) * 3 // 4)
        message = rf"flaky://b\.txt{suffix}: cannot be read \({reason}\)$"
        with pytest.raises(InputError, match=message):
            store("cache")
        left = [] if suffix else [".shards"]  # of a small compressed file, all is read at once
        assert [path.suffix for path in (tmp_path / "cache").iterdir()] == left
        monkeypatch.setattr(FlakyFileSystem, attribute, None)
    assert store("cache") == store("other")


def test_a_remote_text_is_prepared_once_by_the_command(
    memory: MemoryFileSystem, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        memory.pipe_file(f"/texts/{number}.txt.gz", gzip.compress(b"a b c\n" * 30))
    arguments = ["data=text", "data.train=memory://texts/*.txt.gz", f"cache_dir={tmp_path}", "progress=none"]
    missing = [*arguments, "data.test=memory://texts/none.txt"]
    assert run_command(prepare.main, config_name="prepare", arguments=missing) == 2
    assert capsys.readouterr().err.startswith("data.test: memory://texts/none.txt: not found")
    assert list(tmp_path.iterdir()) == []
    for end in ("", " (prepared before)"):
        assert run_command(prepare.main, config_name="prepare", arguments=arguments) == 0
        stores = capsys.readouterr().out.splitlines()
        assert [line.partition(":")[0] for line in stores] == list(SPLITS)
        assert all(line.endswith(end) for line in stores)
    assert len(list(tmp_path.iterdir())) == 3


def test_tables_and_questions_are_read_from_addresses_too(memory: MemoryFileSystem) -> None:
    rows = [{"text": "one two", "label": "a"}, {"text": "three", "label": "b"}]
    memory.pipe_file("/a.csv", b"text,label\none two,a\nthree,b\n")
    memory.pipe_file("/a.jsonl.gz", gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    with memory.open("/a.parquet", "wb") as file:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    for name in ("a.csv", "a.jsonl.gz", "a.parquet"):
        source = HubSource(name="no/matter", train=f"memory://{name}", split_every=9)
        source.check()
        assert [line for batch in source.lines("train") for line in batch.lines] == ["one two", "three"]
        table = LabelledFiles(train="memory://a.csv", dev=f"memory://{name}", test="memory://a.csv")
        assert [example.text for example in table.examples("dev")] == ["one two", "three"]
    question = {"id": "q", "question": "who?", "answers": [{"text": "one", "answer_start": 0}]}
    article = {"title": "t", "paragraphs": [{"context": "one two", "qas": [question]}]}
    memory.pipe_file("/squad.json", json.dumps({"version": "1.1", "data": [article]}).encode())
    options: dict[str, Any] = {"name": "no/matter", "revision": None, "dev_every": 2, "language": "en"}
    squad = SquadSource(train=None, dev=None, test="memory://squad.json", **options)
    assert [passage.context for passage in squad.passages("test")] == ["one two"]
