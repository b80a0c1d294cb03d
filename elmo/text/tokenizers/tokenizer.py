"""What every tokenizer can do, whatever its rules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple


class Token(NamedTuple):
    """A word and its place: `text` is `given_text[start:end]`, counted in characters (code points)."""

    text: str
    start: int
    end: int


class Tokenizer(ABC):
    """Splits text into words. No word is empty or contains only white space."""

    @abstractmethod
    def tokenize_with_offsets(self, text: str) -> list[Token]:
        """The words of a text in order, each with its place in it."""

    @abstractmethod
    def fingerprint(self) -> dict[str, Any]:
        """All that decides what the words are, plain values for JSON: name, arguments, library version."""

    def tokenize(self, text: str) -> list[str]:
        return [token.text for token in self.tokenize_with_offsets(text)]

    def tokenize_batch(self, texts: list[str]) -> list[list[str]]:
        """The words of each text: what `tokenize` gives, by the fastest way there is."""
        return [self.tokenize(text) for text in texts]
