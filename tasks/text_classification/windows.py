"""Splits a text into windows of words: as many whole sentences as fit; no word is lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from elmo.text.sentence_splitting import split_sentences
from elmo.text.tokenizers.tokenizer import Tokenizer
from tasks.supervised.representation import Window

EMPTY = "<UNK>"  # replaces a text without words


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
        """The windows of a text."""
        raw = split_sentences(text, language=self.language) if self.prose else text.splitlines()
        sentences = [sentence for sentence in self.tokenizer.tokenize_batch(raw) if sentence]
        total = sum(map(len, sentences))
        kept = total if self.max_words is None else min(total, self.max_words)
        windows = split_windows(first_words(sentences, kept), self.window_words)
        return WindowedText(windows or [[[EMPTY]]], kept, total - kept)


def first_words(sentences: Sequence[list[str]], number: int) -> list[list[str]]:
    """The sentences of the first `number` words; the last sentence may be cut."""
    kept: list[list[str]] = []
    for sentence in sentences:
        if number <= 0:
            break
        kept.append(sentence[:number])
        number -= len(sentence)
    return kept


def split_windows(sentences: Sequence[list[str]], window_words: int) -> list[Window]:
    """Windows of consecutive sentences with at most `window_words` words; every word is in exactly one."""
    windows: list[Window] = []
    room = 0
    for piece in _pieces(sentences, window_words):
        if len(piece) > room:
            windows.append([])
            room = window_words
        windows[-1].append(piece)
        room -= len(piece)
    return windows


def _pieces(sentences: Sequence[list[str]], size: int) -> Iterator[list[str]]:
    for sentence in sentences:
        for start in range(0, len(sentence), size):
            yield sentence[start : start + size]
