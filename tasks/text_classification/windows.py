"""From a text to windows of words: whole sentences together, as many as fit, and nothing lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from elmo.text.sentence_splitting import split_sentences
from elmo.text.tokenizers.tokenizer import Tokenizer
from tasks.supervised.representation import Window

EMPTY = "<UNK>"  # what is read in place of a text without words


class WindowedText(NamedTuple):
    """A text as encoders read it.

    Attributes:
        windows: one at least, each of one word at least.
        num_words: of all windows; 0 for a text without words, whose only window says `EMPTY`.
        num_dropped: words that were cut off the end.
    """

    windows: list[Window]
    num_words: int
    num_dropped: int


class TextReader:
    """Reads texts into windows of words.

    Args:
        tokenizer: finds the words.
        prose: split texts into sentences; otherwise each of a text's lines is one.
        language: ISO 639-1, of the prose.
        window_words: the most words of a window. A sentence that is longer is cut into pieces of that size.
        max_words: the most words of a text; the rest is dropped and counted. None: nothing is dropped.
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
    """Sentences up to so many words; the last one may be cut."""
    kept: list[list[str]] = []
    for sentence in sentences:
        if number <= 0:
            break
        kept.append(sentence[:number])
        number -= len(sentence)
    return kept


def split_windows(sentences: Sequence[list[str]], window_words: int) -> list[Window]:
    """Windows of consecutive sentences, of at most `window_words` words each; every word is in one."""
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
