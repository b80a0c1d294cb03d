"""Checks that sentences given by a user are sequences of words (str)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

from elmo.errors import InputError, shown, shown_with_type


def checked_sentence(sentence: Any, name: str) -> list[str]:
    """The words of a sentence; InputError that begins with `name` if it is not a sequence of str."""
    if isinstance(sentence, (str, bytes)):
        raise InputError(
            f"{name}: expected a sequence of words, got the string {shown(sentence)}; tokenize it first"
        )
    if not isinstance(sentence, Iterable) or isinstance(sentence, (Mapping, Set)):
        raise InputError(f"{name}: expected a sequence of words, got {shown_with_type(sentence)}")
    words = list(sentence)
    for index, word in enumerate(words):
        if not isinstance(word, str):
            raise InputError(f"{name}[{index}]: expected a word (str), got {shown_with_type(word)}")
    return words


def checked_sentences(sentences: Iterable[Sequence[str]]) -> Iterator[list[str]]:
    """The words of each sentence, lazily; InputError names the element that is not a sequence of str."""
    if isinstance(sentences, (str, bytes, Mapping, Set)) or not isinstance(sentences, Iterable):
        raise InputError(
            f"sentences: expected a sequence of sentences, each a sequence of words, "
            f"got {shown_with_type(sentences)}"
        )
    return (checked_sentence(sentence, f"sentences[{index}]") for index, sentence in enumerate(sentences))
