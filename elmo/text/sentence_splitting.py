"""Raw prose to sentences, by the rules that `sentencex` (of Wikimedia) keeps for some 240 languages."""

from __future__ import annotations

import re

import sentencex

_BLANKS = re.compile(r"\s")  # as spaces: sentencex 1.0 dies of an initial before a line separator (U+2028)


def split_sentences(text: str, *, language: str) -> list[str]:
    """The sentences of a text in order, without the white space around them; a blank line always ends one.

    Args:
        text: any length; a single line break inside of a sentence becomes a space.
        language: an ISO 639-1 code; one that sentencex does not know falls back to common rules.
    """
    paragraphs = text.split("\n\n") if "\n\n" in text else [text]
    sentences = (
        sentence.strip()
        for paragraph in paragraphs
        for sentence in sentencex.segment(language, _BLANKS.sub(" ", paragraph))
    )
    return [sentence for sentence in sentences if sentence]
