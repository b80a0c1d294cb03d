"""Splits raw text into sentences with `sentencex` (by Wikimedia), which has rules for some 240 languages."""

from __future__ import annotations

import re
from collections.abc import Iterator

import sentencex

_BLANKS = re.compile(r"\s")  # become spaces: sentencex 1.0 crashes on an initial before U+2028
_MOST_CHARACTERS = 10_000  # for sentencex at once, whose time grows with the square of some texts' lengths


def split_sentences(text: str, *, language: str) -> list[str]:
    """The sentences of a text in order, without surrounding white space; a blank line always ends a sentence.

    The time is linear in the length of the text; for that, a sentence of more than 10,000 characters is cut.

    Args:
        text: any length; a single line break within a sentence becomes a space.
        language: an ISO 639-1 code; for one that sentencex does not know, common rules are used.
    """
    paragraphs = text.split("\n\n") if "\n\n" in text else [text]
    sentences = (
        sentence.strip()
        for paragraph in paragraphs
        for sentence in _segment(_BLANKS.sub(" ", paragraph), language)
    )
    return [sentence for sentence in sentences if sentence]


def _segment(paragraph: str, language: str) -> Iterator[str]:
    """The sentences of a paragraph, found in windows that begin with a sentence."""
    start = 0
    while len(paragraph) - start > _MOST_CHARACTERS:
        window = paragraph[start : start + _MOST_CHARACTERS]
        whole = sentencex.segment(language, window)[:-1] or [_cut(window)]  # the last one may go on
        yield from whole
        start += sum(map(len, whole))
    yield from sentencex.segment(language, paragraph[start:])


def _cut(window: str) -> str:
    """The beginning of a window up to its last space, or all of it."""
    end = window.rfind(" ") + 1
    return window[:end] if window[:end].strip() else window
