"""Splits a text into windows of words: as many whole sentences as fit; no word is lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from elmo.text.sentence_splitting import iterate_sentences
from elmo.text.tokenizers.tokenizer import Tokenizer
from tasks.supervised.representation import Window

EMPTY = "<UNK>"  # replaces a text without words
_SENTENCES_AT_ONCE = 256  # that are tokenized together


class WindowedText(NamedTuple):
    """A text split into windows.

    Attributes:
        windows: at least one, each of at least one word.
        num_words: number of words; 0 for a text without words, whose only window is `EMPTY`.
        num_dropped: number of words that were truncated.
    """

    windows: list[Window]
    num_words: int
    num_dropped: int


class TextReader:
    """Tokenizes texts and splits them into windows of words.

    Args:
        tokenizer: splits sentences into words.
        prose: split texts into sentences; otherwise each line is a sentence.
        language: ISO 639-1 code, for sentence splitting.
        window_words: largest number of words in a window; a longer sentence is split into pieces.
        max_words: texts are truncated to this number of words; None: no limit.
    """

    def __init__(
        self, *, tokenizer: Tokenizer, prose: bool, language: str, window_words: int, max_words: int | None
    ) -> None:
        self.tokenizer = tokenizer
        self.prose, self.language = prose, language
        self.window_words, self.max_words = window_words, max_words

    def read(self, text: str) -> WindowedText:
        """The windows of a text, all in memory."""
        sentences = list(self._tokenized(text))
        total = sum(map(len, sentences))
        kept = total if self.max_words is None else min(total, self.max_words)
        windows = list(split_windows(first_words(sentences, kept), self.window_words))
        return WindowedText(windows or [[[EMPTY]]], kept, total - kept)

    def windows(self, text: str) -> Iterator[Window]:
        """The windows that `read` gives, one after another, for a text of any length."""
        sentences: Iterable[list[str]] = self._tokenized(text)
        if self.max_words is not None:
            sentences = first_words(sentences, self.max_words)
        first = None
        for first in split_windows(sentences, self.window_words):
            yield first
        if first is None:
            yield [[EMPTY]]

    def _tokenized(self, text: str) -> Iterator[list[str]]:
        """The words of each sentence that has some."""
        raw = iterate_sentences(text, language=self.language) if self.prose else iter(text.splitlines())
        while sentences := list(islice(raw, _SENTENCES_AT_ONCE)):
            yield from filter(None, self.tokenizer.tokenize_batch(sentences))


def first_words(sentences: Iterable[list[str]], number: int) -> Iterator[list[str]]:
    """The sentences of the first `number` words; the last sentence may be cut."""
    for sentence in sentences:
        if number <= 0:
            break
        yield sentence[:number]
        number -= len(sentence)


def split_windows(sentences: Iterable[list[str]], window_words: int) -> Iterator[Window]:
    """Windows of consecutive sentences with at most `window_words` words; every word is in exactly one."""
    window: Window = []
    room = window_words
    for piece in _pieces(sentences, window_words):
        if len(piece) > room:
            yield window
            window, room = [], window_words
        window.append(piece)
        room -= len(piece)
    if window:
        yield window


def _pieces(sentences: Iterable[list[str]], size: int) -> Iterator[list[str]]:
    for sentence in sentences:
        for start in range(0, len(sentence), size):
            yield sentence[start : start + size]
