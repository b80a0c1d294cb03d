"""Files of word vectors: every form that is read, and every fault in one line."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from elmo.errors import InputError
from tasks.encoders.word_vector_file import (
    _LINES_AT_ONCE,
    PACKAGE,
    check_file,
    check_package,
    read_packaged_vectors,
    read_word_vectors,
)

TEXT = "the 0.5 -1\ncat 2e-1 3\n"


def written(directory: Path, content: str | bytes, name: str = "vectors.txt") -> Path:
    path = directory / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        TEXT,
        "2 2\n" + TEXT,
        TEXT.removesuffix("\n"),
        TEXT.replace(" ", "\t").replace("\n", "\r\n"),
        TEXT.replace("\n", " \n") + "\n",
        "\ufeff" + TEXT,
        gzip.compress(TEXT.encode(), mtime=0),
        TEXT + "the 7 7\n",
    ],
    ids=["plain", "header", "no last end", "tabs", "blanks", "byte-order mark", "gzip", "duplicate"],
)
def test_a_file_of_any_form_is_read(content: str | bytes, tmp_path: Path) -> None:
    table = read_word_vectors(written(tmp_path, content))
    assert table.words == ["the", "cat"]
    assert table.vectors.dtype == np.float32
    np.testing.assert_array_equal(table.vectors, np.array([[0.5, -1], [0.2, 3]], dtype=np.float32))


def test_words_may_have_spaces_and_any_letters(tmp_path: Path) -> None:
    text = "the 1 2\n. . . 3 4\nat name@example.com 5 6\nroute 66 7 8\n\u00a0 9 10\n\u2028😀 11 12\n"
    table = read_word_vectors(written(tmp_path, text))
    assert table.words == ["the", ". . .", "at name@example.com", "route 66", "\u00a0", "\u2028😀"]
    np.testing.assert_array_equal(table.vectors, np.arange(1, 13).reshape(6, 2))


def test_the_first_lines_alone_are_read(tmp_path: Path) -> None:
    for header in ("", "3 2\n"):
        path = written(tmp_path, f"{header}{TEXT}dog 1 x\n")
        assert read_word_vectors(path, max_words=2).words == ["the", "cat"]


def test_what_is_read_does_not_depend_on_blocks(tmp_path: Path) -> None:
    num_words = 2 * _LINES_AT_ONCE + 1
    lines = [f"w{index} {index} {-index}\n" for index in range(num_words)]
    lines[_LINES_AT_ONCE] = lines[0]
    table = read_word_vectors(written(tmp_path, "".join(lines)))
    wanted = [index for index in range(num_words) if index != _LINES_AT_ONCE]
    assert table.words == [f"w{index}" for index in wanted]
    np.testing.assert_array_equal(table.vectors, np.array([[index, -index] for index in wanted]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ": empty; expected lines of a word and its vector"),
        ("\n \n", ": empty; expected lines of a word and its vector"),
        ("the\n", ":1: expected a word and its numbers, got 'the'"),
        (TEXT + "dog 1\n", ":3: expected 2 numbers, got 1; every line has a word and as many numbers"),
        (TEXT + "dog\n", ":3: expected 2 numbers, got 0; every line has"),
        (TEXT + "dog 0.1 2 3\n", ":3: expected 2 numbers, got 3; every line has"),
        ("2 3\n" + TEXT, ":2: expected 3 numbers, got 2; every line has"),
        ("3 2\n" + TEXT, ": ends after 2 of 3 words; truncated?"),
        (TEXT + "dog 1 two\n", ":3: expected 2 finite numbers after the word, got 'two'"),
        (TEXT + "dog nan 1\n", ":3: expected 2 finite numbers after the word, got 'nan'"),
        ("the 1 1e99\n" + TEXT, ":1: expected 2 finite numbers after the word, got '1e99'"),
        (TEXT.encode() + b"d\xffg 1 2\n", ":3: invalid UTF-8 (0xff)"),
        (gzip.compress(TEXT.encode() * 99, mtime=0)[:-9], ": damaged or cut short (Compressed file ended"),
        (b"\x1f\x8bno gzip", ": damaged or cut short ("),
        (b"PK\x03\x04glove.6B", ": a zip archive; unpack it and give one of its files"),
        (bytes(range(1, 256)) * 9000, ":1: expected a word and its numbers"),
    ],
)
def test_a_fault_is_said_in_one_line(content: str | bytes, message: str, tmp_path: Path) -> None:
    path = written(tmp_path, content)
    with pytest.raises(InputError) as error:
        read_word_vectors(path)
    assert str(error.value).startswith(f"{path}{message}") and "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_found_before_it_is_read(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(InputError, match=f"^encoder.path: {path}: cannot be read .{reason}"):
            check_file(path)
    check_file(written(tmp_path, TEXT))


def test_a_package_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.encoders.word_vector_file.PACKAGE", "no_such_package")
    with pytest.raises(InputError, match=r"encoder.path: null .* no-such-package, .* pip install") as error:
        check_package()
    assert "\n" not in str(error.value)


def test_the_package_has_the_published_table() -> None:
    pytest.importorskip(PACKAGE)
    table = read_packaged_vectors(max_words=5)
    assert table.words == ["the", ",", ".", "of", "to"]
    assert table.vectors.shape == (5, 50) and table.vectors.dtype == np.float32
    # the first numbers of the first line of glove.6B.50d.txt
    np.testing.assert_array_equal(
        table.vectors[0, :3], np.array([0.418, 0.24968, -0.41242], dtype=np.float32)
    )
