"""Raw prose to sentences, by the rules that `sentencex` (of Wikimedia) keeps for some 240 languages."""

from __future__ import annotations

import sentencex


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
        for sentence in sentencex.segment(language, paragraph.replace("\n", " "))
    )
    return [sentence for sentence in sentences if sentence]
