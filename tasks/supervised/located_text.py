"""The sentences and words of a text with their character offsets, and windows of words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from elmo.text.sentence_splitting import split_sentences
from elmo.text.tokenizers.tokenizer import Tokenizer
from tasks.supervised.representation import Window

_SPACE = re.compile(r"[^\S\n]")  # all white space except the line feed, which may end a sentence


class LocatedText(NamedTuple):
    """The words of a text; word i is `text[starts[i] : ends[i]]`, counted in characters.

    Attributes:
        words: from the tokenizer.
        starts, ends: int32, ascending; words do not overlap.
        sentence_starts: indices of the first words of sentences.
    """

    words: list[str]
    starts: np.ndarray
    ends: np.ndarray
    sentence_starts: list[int]

    def sentences(self, start: int, stop: int) -> Window:
        """The words `start` to `stop`, by sentence; the first and the last sentence may be cut."""
        inner = [bound for bound in self.sentence_starts if start < bound < stop]
        return [self.words[a:b] for a, b in pairwise([start, *inner, stop])]

    def span(self, start: int, end: int) -> tuple[int, int] | None:
        """The first and the last word that overlap the characters `start` to `end`; None if none does."""
        first = int(np.searchsorted(self.ends, start, side="right"))
        last = int(np.searchsorted(self.starts, end, side="left")) - 1
        return (first, last) if first <= last else None


def locate_words(text: str, tokenizer: Tokenizer, *, language: str) -> LocatedText:
    """The words of a raw text, tokenized sentence by sentence, as in the encoders' training."""
    words: list[str] = []
    places: list[tuple[int, int]] = []
    sentence_starts: list[int] = []
    for begin, stop in find_sentences(text, language=language):
        tokens = tokenizer.tokenize_with_offsets(text[begin:stop])
        if tokens:
            sentence_starts.append(len(words))
            words += [token.text for token in tokens]
            places += [(begin + token.start, begin + token.end) for token in tokens]
    starts, ends = np.array(places, dtype=np.int32).reshape(-1, 2).T
    return LocatedText(words, starts, ends, sentence_starts)


def find_sentences(text: str, *, language: str) -> Iterator[tuple[int, int]]:
    """Start and end of each sentence of a raw text, without surrounding white space."""
    plain = _SPACE.sub(" ", text)  # keeps the offsets; sentencex fails on rare white space characters
    flat = plain.replace("\n", " ")
    end = 0
    for sentence in split_sentences(plain, language=language):
        start = flat.index(sentence, end)
        end = start + len(sentence)
        yield start, end


def window_ranges(num_words: int, *, window_words: int, window_stride: int) -> list[tuple[int, int]]:
    """First word and end of each window of a text; a window starts every `window_stride` words.

    Every word is in a window. A text of at most `window_words` words has one window, an empty one none.
    """
    starts = range(0, max(num_words - window_words, 0) + window_stride, window_stride)
    return [(start, min(start + window_words, num_words)) for start in starts] if num_words else []
