"""Preparing a corpus and reading it back."""

from __future__ import annotations

import errno
import gzip
import os
import resource
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elmo.errors import InputError
from elmo.text.tokenizers.whitespace import WhitespaceTokenizer
from elmo.text.tokenizers.words import WordsTokenizer
from tasks.language_model.corpus import FORMAT, Corpus
from tasks.language_model.preparation import prepare_corpus
from tasks.language_model.shards import numbering
from tasks.sources.text.text import TextSource


def prepare(path: Path, content: str | bytes, *, num_workers: int | None = 1, prose: bool = False) -> Corpus:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return prepare_file(path, num_workers=num_workers, prose=prose)


def prepare_file(path: Path, *, num_workers: int | None = 1, prose: bool = False) -> Corpus:
    source = TextSource(train=str(path), prose=prose, split_every=10**9)
    cache_path = path.parent / "cache"
    tokenizer = WordsTokenizer() if prose else WhitespaceTokenizer()
    return prepare_corpus(source, tokenizer, cache_path=cache_path, split="train", num_workers=num_workers)


def sentences_of(corpus: Corpus) -> list[list[str]]:
    ids, offsets = corpus.read_sentences(0, corpus.num_sentences)
    return [[corpus.types.word(i) for i in ids[a:b]] for a, b in pairwise(offsets)]


def test_a_corpus_holds_the_sentences_and_counts_of_its_text(tmp_path: Path) -> None:
    corpus = prepare(tmp_path / "a.txt", "the cat\n\nthe naïve 猫 😀 the\n")
    assert sentences_of(corpus) == [["the", "cat"], ["the", "naïve", "猫", "😀", "the"]]
    assert (corpus.num_tokens, corpus.num_sentences, corpus.num_types) == (7, 2, 7)
    assert list(corpus.types.words()) == ["", "", "the", "cat", "naïve", "猫", "😀"]
    assert corpus.counts_V.tolist() == [2, 2, 3, 1, 1, 1, 1]


def test_of_two_that_need_the_same_corpus_one_prepares_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    prepared, number_lines = list[int](), numbering.number_lines

    def number_slowly(*arguments: Any) -> numbering.NumberedText:
        prepared.append(1)
        while not caplog.messages:  # until the other one waits
            time.sleep(0.01)
        return number_lines(*arguments)

    monkeypatch.setattr(numbering, "number_lines", number_slowly)
    (tmp_path / "a.txt").write_text("the cat\n")
    found = list[Corpus]()
    threads = [
        threading.Thread(target=lambda: found.append(prepare_file(tmp_path / "a.txt"))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert prepared == [1]
    assert [sentences_of(corpus) for corpus in found] == [[["the", "cat"]]] * 2


def test_a_part_of_the_sentences_is_read_by_itself(tmp_path: Path) -> None:
    corpus = prepare(tmp_path / "a.txt", "a b\nc\nd e f\ng\n")
    ids, offsets = corpus.read_sentences(1, 3)
    assert [corpus.types.word(i) for i in ids] == ["c", "d", "e", "f"]
    assert (ids.dtype, offsets.dtype, offsets.tolist()) == (np.int32, np.int64, [0, 1, 4])
    assert corpus.read_sentences(4, 4)[0].tolist() == []
    with pytest.raises(IndexError):
        corpus.read_sentences(3, 5)


def test_the_longest_sentence_is_found(tmp_path: Path) -> None:
    assert [
        prepare(tmp_path / "a.txt", text).longest_sentence for text in ("a\n", "a\nb c d\ne\nf g\nh\n")
    ] == [1, 3]


def test_prose_is_split_into_sentences(tmp_path: Path) -> None:
    corpus = prepare(tmp_path / "a.txt", "Mr. Smith left. He\nran.\n\nA title\n", prose=True)
    expected = [["Mr", ".", "Smith", "left", "."], ["He", "ran", "."], ["A", "title"]]
    assert sentences_of(corpus) == expected


def test_the_same_store_comes_of_lf_crlf_bom_gzip_and_any_number_of_workers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    text = "".join(" ".join(f"w{i}" for i in rng.zipf(1.3, 20) % 99991) + "\n" for _ in range(12000))
    data = text.encode()
    crlf = b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n")
    corpora = [
        prepare(tmp_path / "a.txt", data, num_workers=1),
        prepare(tmp_path / "b.txt", crlf, num_workers=2),
        prepare(tmp_path / "c.txt.gz", gzip.compress(crlf), num_workers=None),
    ]
    assert corpora[0].num_tokens == 240_000
    for name in ("tokens", "sentences", "types", "type_offsets", "counts"):
        contents = {(corpus.path / f"{name}.bin").read_bytes() for corpus in corpora}
        assert len(contents) == 1


def test_a_second_start_only_opens_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare(tmp_path / "a.txt", "a b\n")
    monkeypatch.setattr(TextSource, "lines", None)
    source = TextSource(train=str(tmp_path / "a.txt"), split_every=10**9)
    again = prepare_corpus(source, WhitespaceTokenizer(), cache_path=tmp_path / "cache", split="train")
    assert again.path == first.path
    assert again.path.name == f"{again.fingerprint}-{FORMAT}"


def test_text_tokenizer_and_split_each_have_a_store_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a b\nc d\ne f\n")
    cache_path = tmp_path / "cache"
    source = TextSource(train=str(tmp_path / "a.txt"), split_every=3)
    train = prepare_corpus(source, WhitespaceTokenizer(), cache_path=cache_path, split="train")
    test = prepare_corpus(source, WhitespaceTokenizer(), cache_path=cache_path, split="test")
    words = prepare_corpus(source, WordsTokenizer(), cache_path=cache_path, split="train")
    assert (sentences_of(train), sentences_of(test)) == ([["c", "d"]], [["e", "f"]])
    assert len({train.fingerprint, test.fingerprint, words.fingerprint}) == 3


def test_progress_is_told_as_words_sentences_and_share(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a b\nc\n")
    source = TextSource(train=str(tmp_path / "a.txt"), split_every=99)
    calls: list[tuple[int, int, float | None]] = []
    prepare_corpus(
        source,
        WhitespaceTokenizer(),
        cache_path=tmp_path,
        split="train",
        progress=lambda *values: calls.append(values),
    )
    assert calls == [(3, 2, 1.0)]


def test_literal_markers_are_ordinary_words_and_counted(tmp_path: Path) -> None:
    corpus = prepare(tmp_path / "a.txt", "<S> a </S> <UNK> <S>\n<s> b\n")
    assert corpus.num_literal_markers == 4
    ids, _ = corpus.read_sentences(0, 2)
    assert ids.min() >= 2
    assert corpus.types.word(ids[0]) == "<S>"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("ok\n\nab\0c\n", r"a\.txt:3: NUL character in column 3; remove it"),
        ("ok\nx\x1by\n", r"a\.txt:2: control character U\+001B in column 2"),
        ("x\n" * 9000 + "\x7f\n", r"a\.txt:9001: control character U\+007F in column 1"),
        (
            "ok\nshort " + "x" * 100_000 + "\n",
            r"a\.txt:2: word of 100,000 characters \('xxx.*more than 1,000",
        ),
    ],
)
@pytest.mark.parametrize("num_workers", [1, 2])
def test_bad_characters_and_words_are_told_with_their_line(
    tmp_path: Path, content: str, message: str, num_workers: int
) -> None:
    with pytest.raises(InputError, match=message) as fault:
        prepare(tmp_path / "a.txt", content, num_workers=num_workers)
    assert "\n" not in str(fault.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_bad_characters_inside_a_paragraph_are_told_with_their_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.txt:4: NUL character in column 5"):
        prepare(tmp_path / "a.txt", "one\n\ntwo\nand \0three.\n", prose=True)


def test_a_text_without_words_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data: the train text has no words"):
        prepare(tmp_path / "a.txt", "\u200b\n", prose=True)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(InputError, match="no space left to write it"):
        prepare(tmp_path / "a.txt", "a b\n")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_limit_of_the_file_system_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a b c d e f g h\n" * 9000)
    code = (
        "import signal, resource\n"
        "from pathlib import Path\n"
        "from tasks.language_model.preparation import prepare_corpus\n"
        "from tasks.sources.text.text import TextSource\n"
        "from elmo.text.tokenizers.whitespace import WhitespaceTokenizer\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "source = TextSource(train='a.txt')\n"
        "prepare_corpus(source, WhitespaceTokenizer(), cache_path=Path('cache'), split='train')\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "InputError: cache/" in done.stderr.splitlines()[-1]
    assert "no space left to write it" in done.stderr.splitlines()[-1]
    assert list((tmp_path / "cache").iterdir()) == []


def test_processes_that_prepare_the_same_corpus_do_not_clash(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a b c d e f g h\n" * 20000)
    code = (
        "from pathlib import Path\n"
        "from tasks.language_model.preparation import prepare_corpus\n"
        "from tasks.sources.text.text import TextSource\n"
        "from elmo.text.tokenizers.whitespace import WhitespaceTokenizer\n"
        "source = TextSource(train='a.txt', split_every=10**9)\n"
        "corpus = prepare_corpus(source, WhitespaceTokenizer(), cache_path=Path('cache'), split='train')\n"
        "print(corpus.num_tokens)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    command = [sys.executable, "-c", code]
    both = [
        subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate()[0] for process in both] == ["160000\n", "160000\n"]
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_damaged_store_is_told(tmp_path: Path) -> None:
    corpus = prepare(tmp_path / "a.txt", "a b\n")
    (corpus.path / "tokens.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"no complete prepared corpus \(tokens\.bin has not 8 bytes\)"):
        Corpus(corpus.path)


def test_walking_a_corpus_does_not_grow_memory_and_opening_is_quick(tmp_path: Path) -> None:
    text = "".join(f"w{i % 1000} " * 50 + "\n" for i in range(60000))
    corpus = prepare(tmp_path / "a.txt", text)
    start = time.monotonic()
    corpus = Corpus(corpus.path)
    assert time.monotonic() - start < 0.1
    before = resident_bytes()
    for sentence in range(0, corpus.num_sentences, 100):
        corpus.read_sentences(sentence, sentence + 100)
    assert corpus.num_tokens * 4 == 12_000_000
    assert resident_bytes() - before < 2_000_000


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
