"""Words that know their place: a text's sentences and words with character offsets, and windows of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from elmo.text.sentence_splitting import split_sentences
from elmo.text.tokenizers.tokenizer import Tokenizer
from tasks.supervised.representation import Window

_SPACE = re.compile(r"[^\S\n]")  # any white space but the line feed, which may end a sentence


class LocatedText(NamedTuple):
    """The words of a text in a row; word i is `text[starts[i] : ends[i]]`, counted in characters.

    Attributes:
        words: as the tokenizer gave them.
        starts, ends: int32, ascending; words do not overlap.
        sentence_starts: which words begin a sentence.
    """

    words: list[str]
    starts: np.ndarray
    ends: np.ndarray
    sentence_starts: list[int]

    def sentences(self, start: int, stop: int) -> Window:
        """The words from `start` up to `stop` by sentences; one at either end may be there in part."""
        inner = [bound for bound in self.sentence_starts if start < bound < stop]
        return [self.words[a:b] for a, b in pairwise([start, *inner, stop])]

    def span(self, start: int, end: int) -> tuple[int, int] | None:
        """The first and the last word that overlap the characters from `start` up to `end`, if one does."""
        first = int(np.searchsorted(self.ends, start, side="right"))
        last = int(np.searchsorted(self.starts, end, side="left")) - 1
        return (first, last) if first <= last else None


def locate_words(text: str, tokenizer: Tokenizer, *, language: str) -> LocatedText:
    """The words of a raw text, tokenized sentence by sentence, as encoders were trained."""
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
    """Where each sentence of a raw text begins and ends, the white space around it left out."""
    plain = _SPACE.sub(" ", text)  # character for character; sentencex fails at the rarer white space
    flat = plain.replace("\n", " ")
    end = 0
    for sentence in split_sentences(plain, language=language):
        start = flat.index(sentence, end)
        end = start + len(sentence)
        yield start, end


def window_ranges(num_words: int, *, window_words: int, window_stride: int) -> list[tuple[int, int]]:
    """The windows of a text, first word and end of each; one begins every `window_stride` words.

    Every word is in one. None for a text without words, one for a text of at most `window_words`.
    """
    starts = range(0, max(num_words - window_words, 0) + window_stride, window_stride)
    return [(start, min(start + window_words, num_words)) for start in starts] if num_words else []
