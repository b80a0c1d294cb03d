"""Splits raw text into sentences with `sentencex` (by Wikimedia), which has rules for some 240 languages."""

from __future__ import annotations

import re

import sentencex

_BLANKS = re.compile(r"\s")  # become spaces: sentencex 1.0 crashes on an initial before U+2028


def split_sentences(text: str, *, language: str) -> list[str]:
    """The sentences of a text in order, without surrounding white space; a blank line always ends a sentence.

    Args:
        text: any length; a single line break within a sentence becomes a space.
        language: an ISO 639-1 code; for one that sentencex does not know, common rules are used.
    """
    paragraphs = text.split("\n\n") if "\n\n" in text else [text]
    sentences = (
        sentence.strip()
        for paragraph in paragraphs
        for sentence in sentencex.segment(language, _BLANKS.sub(" ", paragraph))
    )
    return [sentence for sentence in sentences if sentence]
