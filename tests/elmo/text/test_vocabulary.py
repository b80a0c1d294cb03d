"""The words that the softmax can predict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from elmo.errors import InputError
from elmo.text.characters import TypeTable
from elmo.text.vocabulary import Vocabulary

TYPES = TypeTable.from_words(["rare", "often", "<S>", "the", "naïve", "<UNK>"])
COUNTS = np.array([9, 9, 1, 5, 4, 7, 5, 4])


def test_words_stand_by_count_and_ties_by_first_appearance() -> None:
    vocabulary = Vocabulary.from_counts(TYPES, COUNTS, min_count=1, max_size=None)
    assert vocabulary.words == ["<S>", "</S>", "<UNK>", "the", "often", "naïve", "rare"]


def test_min_count_and_max_size_limit_the_vocabulary() -> None:
    at_least_5 = Vocabulary.from_counts(TYPES, COUNTS, min_count=5, max_size=None)
    assert at_least_5.words[3:] == ["the", "often", "naïve"]
    at_most_4 = Vocabulary.from_counts(TYPES, COUNTS, min_count=1, max_size=4)
    assert at_most_4.words[3:] == ["the"]


def test_limits_that_leave_no_word_are_told() -> None:
    with pytest.raises(InputError, match=r"vocabulary\.min_count: no word occurs 8 times or more"):
        Vocabulary.from_counts(TYPES, COUNTS, min_count=8, max_size=None)
    with pytest.raises(InputError, match=r"vocabulary\.max_size: 3 must be over 3"):
        Vocabulary.from_counts(TYPES, COUNTS, min_count=1, max_size=3)


def test_unknown_words_and_literal_markers_become_unk() -> None:
    vocabulary = Vocabulary(["<S>", "</S>", "<UNK>", "the", "naïve"])
    ids = vocabulary.ids_of(TYPES)
    assert ids.tolist() == [0, 1, 2, 2, 2, 3, 4, 2]
    assert ids.dtype == np.int32
    assert vocabulary.coverage(ids, COUNTS) == pytest.approx((7 + 5) / (1 + 5 + 4 + 7 + 5 + 4))


def test_a_saved_vocabulary_is_read_back(tmp_path: Path) -> None:
    words = ["<S>", "</S>", "<UNK>", "the", "naïve", "语", "\u2028x"]
    Vocabulary(words).save(tmp_path / "vocab.txt")
    assert Vocabulary.from_file(tmp_path / "vocab.txt").words == words


def test_byte_order_mark_and_line_ends_of_windows_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_bytes(b"\xef\xbb\xbf<S>\r\n</S>\r\n<UNK>\r\nthe\r\n")
    assert Vocabulary.from_file(tmp_path / "vocab.txt").words == ["<S>", "</S>", "<UNK>", "the"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"the\nof\n",
            r"vocab\.txt:1: must begin with the lines <S>, </S>, <UNK>, but begins with \['the', 'of'\]",
        ),
        (b"", r"vocab\.txt:1: must begin with the lines <S>, </S>, <UNK>"),
        (b"<S>\n</S>\n<UNK>\nthe\nof\nthe\n", r"vocab\.txt:6: duplicate 'the' \(first on line 4\)"),
        (b"<S>\n</S>\n<UNK>\nthe\n\nof\n", r"vocab\.txt:5: empty word"),
        (b"<S>\n</S>\n<UNK>\nna\xefve\n", r"vocab\.txt:4: invalid UTF-8 \(0xef\)"),
    ],
)
def test_faults_of_a_file_name_the_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "vocab.txt").write_bytes(content)
    with pytest.raises(InputError, match=message):
        Vocabulary.from_file(tmp_path / "vocab.txt")


def test_a_missing_file_is_told_with_its_key(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"vocabulary\.path: .*vocab\.txt: No such file"):
        Vocabulary.from_file(tmp_path / "vocab.txt")
