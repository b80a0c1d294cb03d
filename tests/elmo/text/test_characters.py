"""Words as rows of bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import oracle
from hypothesis import given, settings
from hypothesis import strategies as st

from elmo.text.characters import BEGIN_TYPE, END_TYPE, MAX_CHARACTERS, PAD, TypeTable

WORDS = ["ab", "é", "日本", "😀", "", "x" * 48, "y" * 49, "z" * 200, "é" * 24, "a" + "é" * 30, "<S>", "\x00"]


def rows_of(table: TypeTable, *type_ids: int, widest_filter: int = MAX_CHARACTERS) -> list[list[int]]:
    return table.characters(np.array(type_ids), widest_filter=widest_filter).tolist()


def padded(*characters: int) -> list[int]:
    return [*characters] + [260] * (50 - len(characters))


def test_a_row_is_begin_of_word_its_bytes_end_of_word_and_padding() -> None:
    table = TypeTable.from_words(["ab", "é", "日", "😀"])
    assert rows_of(table, 2, 3, 4, 5) == [
        padded(258, 97, 98, 259),
        padded(258, 0xC3, 0xA9, 259),
        padded(258, 0xE6, 0x97, 0xA5, 259),
        padded(258, 0xF0, 0x9F, 0x98, 0x80, 259),
    ]


def test_the_markers_have_characters_of_their_own() -> None:
    table = TypeTable.from_words(["ab"])
    assert rows_of(table, BEGIN_TYPE, END_TYPE) == [padded(258, 256, 259), padded(258, 257, 259)]


def test_a_word_that_is_spelled_like_a_marker_is_its_bytes() -> None:
    table = TypeTable.from_words(["<S>", "</S>"])
    assert rows_of(table, 2, 3) == [
        padded(258, 60, 83, 62, 259),
        padded(258, 60, 47, 83, 62, 259),
    ]


def test_an_empty_word_is_a_begin_and_an_end() -> None:
    assert rows_of(TypeTable.from_words([""]), 2) == [padded(258, 259)]


def test_words_are_cut_to_48_bytes_even_inside_a_character() -> None:
    table = TypeTable.from_words(["x" * 48, "x" * 49, "a" + "é" * 30])
    full = [258] + [120] * 48 + [259]
    assert rows_of(table, 2, 3, 4) == [full, full, [258, 97] + [0xC3, 0xA9] * 23 + [0xC3, 259]]


def test_every_row_is_the_oracles() -> None:
    table = TypeTable.from_words(WORDS)
    assert rows_of(table, *range(2, 2 + len(WORDS))) == [oracle.character_row(word) for word in WORDS]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=5), st.integers(1, 50))
def test_cropping_takes_only_padding_and_leaves_a_window_of_it(words: list[str], widest_filter: int) -> None:
    cropped = np.array(
        rows_of(TypeTable.from_words(words), *range(2, 2 + len(words)), widest_filter=widest_filter)
    )
    full = np.array([oracle.character_row(word) for word in words])
    longest = min(48, max(len(word.encode()) for word in words)) + 2
    assert cropped.shape[1] == min(50, longest + widest_filter)
    np.testing.assert_array_equal(cropped, full[:, : cropped.shape[1]])
    assert (full[:, cropped.shape[1] :] == PAD).all()


def test_a_batch_of_markers_alone_is_cropped_behind_them() -> None:
    rows = rows_of(TypeTable.from_words(["long" * 9]), END_TYPE, BEGIN_TYPE, END_TYPE, widest_filter=3)
    assert rows == [padded(258, c, 259)[:6] for c in (257, 256, 257)]


def test_types_may_be_asked_for_in_any_order_and_more_than_once() -> None:
    table = TypeTable.from_words(["a", "bc", "d"])
    rows = rows_of(table, 4, 0, 2, 4, widest_filter=1)
    assert rows == [
        [258, 100, 259, 260],
        [258, 256, 259, 260],
        [258, 97, 259, 260],
        [258, 100, 259, 260],
    ]


def test_words_come_back_whole_and_the_markers_as_empty_strings() -> None:
    words = [*WORDS, "\ud800"]  # a lone surrogate, as json escapes can give it
    table = TypeTable.from_words(words)
    assert len(table) == 2 + len(words)
    assert list(table.words()) == ["", "", *words]
    assert table.word(9) == "z" * 200


def test_a_table_without_words_has_the_markers() -> None:
    table = TypeTable.from_words([])
    assert list(table.words()) == ["", ""]
    assert rows_of(table, BEGIN_TYPE, widest_filter=2) == [[258, 256, 259, 260, 260]]


def test_memory_mapped_tables_give_the_same_rows(tmp_path: Path) -> None:
    table = TypeTable.from_words(WORDS)
    np.save(tmp_path / "blob.npy", table.blob)
    np.save(tmp_path / "offsets.npy", table.offsets)
    mapped = TypeTable(
        np.load(tmp_path / "blob.npy", mmap_mode="r"), np.load(tmp_path / "offsets.npy", mmap_mode="r")
    )
    type_ids = np.arange(len(table), dtype=np.int32)
    rows = mapped.characters(type_ids, widest_filter=7)
    assert type(rows) is np.ndarray and rows.dtype == np.int64
    np.testing.assert_array_equal(rows, table.characters(type_ids, widest_filter=7))
    assert mapped.word(4) == "日本"
