"""Words as rows of UTF-8 bytes, the input of ELMo's character CNN.

Shape legend: V types, U distinct types of a batch, C characters of a row, S sentences, M words in total.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

BEGIN_SENTENCE, END_SENTENCE, BEGIN_WORD, END_WORD, PAD = 256, 257, 258, 259, 260
NUM_CHARACTERS = 261
MAX_CHARACTERS = 50  # length of a row: begin of word, at most 48 bytes, end of word, padding

BEGIN_TYPE, END_TYPE = 0, 1  # the type ids of `<S>` and `</S>`, in every table and vocabulary
NUM_MARKERS = 2


class NumberedWords(NamedTuple):
    """Sentences as type ids, so that each distinct word is computed only once.

    Attributes:
        words: the distinct words, in order of first appearance.
        type_ids: (M,) int64, for the words of all sentences: `NUM_MARKERS` + the word's index in `words`.
        lengths: (S,) int64, number of words of each sentence.
    """

    words: list[str]
    type_ids: np.ndarray
    lengths: np.ndarray


def number_words(sentences: Sequence[Sequence[str]]) -> NumberedWords:
    """Number the distinct words of tokenized sentences."""
    words = dict.fromkeys(chain.from_iterable(sentences))
    type_of = {word: type_id for type_id, word in enumerate(words, start=NUM_MARKERS)}
    lengths = np.array([len(sentence) for sentence in sentences], dtype=np.int64)
    type_ids = np.fromiter(map(type_of.__getitem__, chain.from_iterable(sentences)), np.int64, lengths.sum())
    return NumberedWords(list(words), type_ids, lengths)


def add_markers(type_ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(M,) types of concatenated sentences -> (M + 2 S,), with the two markers around each sentence."""
    ends = np.cumsum(lengths)
    with_ends = np.insert(type_ids, ends, END_TYPE)
    return np.insert(with_ends, ends - lengths + np.arange(len(ends)), BEGIN_TYPE)


class TypeTable:
    """The distinct words of a text as UTF-8 bytes; types 0 and 1 are the sentence markers, without bytes.

    Both arrays may be memory-mapped: only the requested rows are read.

    Args:
        blob: (bytes,) uint8, the bytes of all words, concatenated.
        offsets: (V + 1,) int64; `blob[offsets[i]:offsets[i + 1]]` is type i.
    """

    def __init__(self, blob: np.ndarray, offsets: np.ndarray) -> None:
        self.blob = blob
        self.offsets = offsets

    @classmethod
    def from_words(cls, words: Iterable[str]) -> TypeTable:
        """The table of the two markers followed by `words`, which must be distinct."""
        encoded = [b"", b"", *(word.encode("utf-8", "surrogatepass") for word in words)]
        offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
        return cls(np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def word(self, type_id: int) -> str:
        """The word of a type; an empty string for the two markers."""
        return bytes(self.blob[self.offsets[type_id] : self.offsets[type_id + 1]]).decode(
            "utf-8", "surrogatepass"
        )

    def words(self) -> Iterator[str]:
        """The words of all types in order, markers (empty strings) included."""
        return (self.word(type_id) for type_id in range(len(self)))

    def characters(self, type_ids: np.ndarray, *, widest_filter: int = MAX_CHARACTERS) -> np.ndarray:
        """Character rows of some types, cropped in a way that does not change the CNN's result.

        A row is begin-of-word, at most 48 bytes, end-of-word, then padding. All windows after the longest row
        contain only padding and have equal outputs; one of them, as wide as the widest filter, is kept, so
        that every maximum over positions is the same as over the full 50 characters.

        Args:
            type_ids: (U,) type ids.
            widest_filter: width of the widest convolution in characters.

        Returns:
            (U, C) int64 with C = min(50, longest row + widest filter).
        """
        starts = np.asarray(self.offsets[type_ids])
        lengths = np.minimum(np.asarray(self.offsets[type_ids + 1]) - starts, MAX_CHARACTERS - 2)
        markers = type_ids < NUM_MARKERS
        longest = int(np.max(np.where(markers, 1, lengths), initial=0))
        width = min(MAX_CHARACTERS, longest + 2 + widest_filter)
        rows = np.full((len(type_ids), width), PAD, dtype=np.int64)
        rows[:, 0] = BEGIN_WORD
        ends = np.cumsum(lengths)
        within = np.arange(int(lengths.sum()))  # of all words
        first = np.arange(len(type_ids)) * width + 1  # of each word, in the rows
        characters = self.blob[within + np.repeat(starts - ends + lengths, lengths)]
        rows.reshape(-1)[within + np.repeat(first - ends + lengths, lengths)] = characters
        rows[np.arange(len(type_ids)), lengths + 1] = END_WORD
        for marker, character in ((BEGIN_TYPE, BEGIN_SENTENCE), (END_TYPE, END_SENTENCE)):
            rows[type_ids == marker, 1:3] = character, END_WORD
        return rows
