"""Splits raw text into sentences with `sentencex` (by Wikimedia), which has rules for some 240 languages."""

from __future__ import annotations

import re
from collections.abc import Iterator

import sentencex

# The codes of ISO 639-1: second letters by the first one.
_SECOND_LETTERS = {
    "a": "abefkmnrsvyz", "b": "aeghimnors", "c": "aehorsuvy", "d": "aevz", "e": "elnostu", "f": "afijory",
    "g": "adlnuv", "h": "aeiortuyz", "i": "adegikostu", "j": "av", "k": "agijklmnorsuvwy", "l": "abginotuv",
    "m": "ghiklnrsty", "n": "abdeglnorvy", "o": "cjmrs", "p": "ailst", "q": "u", "r": "mnouw",
    "s": "acdeghiklmnoqrstuvw", "t": "aeghiklnorstwy", "u": "gkrz", "v": "eio", "w": "ao", "x": "h",
    "y": "io", "z": "ahu",
}  # fmt: skip
_BLANKS = re.compile(r"[^\S ]")  # become spaces: sentencex 1.0 crashes on an initial before U+2028
_MOST_CHARACTERS = 10_000  # for sentencex at once, whose time grows with the square of some texts' lengths


def split_sentences(text: str, *, language: str) -> list[str]:
    """The sentences of a text in order, without surrounding white space; a blank line always ends a sentence.

    The time is linear in the length of the text; for that, a sentence of more than 10,000 characters is cut.

    Args:
        text: any length; a single line break within a sentence becomes a space.
        language: a code that `is_language` knows; if sentencex does not, common rules are used.
    """
    return list(iterate_sentences(text, language=language))


def iterate_sentences(text: str, *, language: str) -> Iterator[str]:
    """As `split_sentences`, one after another."""
    for paragraph in text.split("\n\n") if "\n\n" in text else [text]:
        for sentence in _segment(paragraph, language):
            stripped = sentence.strip()
            if stripped:
                yield stripped


def _segment(paragraph: str, language: str) -> Iterator[str]:
    """The sentences of a paragraph, found in windows that begin with a sentence."""
    start = 0
    while len(paragraph) - start > _MOST_CHARACTERS:
        window = _BLANKS.sub(" ", paragraph[start : start + _MOST_CHARACTERS])
        whole = sentencex.segment(language, window)[:-1] or [_cut(window)]  # the last one may go on
        yield from whole
        start += sum(map(len, whole))
    yield from sentencex.segment(language, _BLANKS.sub(" ", paragraph[start:]))


def _cut(window: str) -> str:
    """The beginning of a window up to its last space, or all of it."""
    end = window.rfind(" ") + 1
    return window[:end] if window[:end].strip() else window


def is_language(code: str) -> bool:
    """Whether it is a code of ISO 639-1, or one of three letters as in ISO 639-3; `-` may add a variety."""
    base = code.partition("-")[0]
    if len(base) == 2:
        return base[1] in _SECOND_LETTERS.get(base[0], "")
    return re.fullmatch("[a-z]{3}", base) is not None
