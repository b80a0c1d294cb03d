"""The interface of a tokenizer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple


class Token(NamedTuple):
    """A word and its position: `text` is `given_text[start:end]`, counted in characters (code points)."""

    text: str
    start: int
    end: int


class Tokenizer(ABC):
    """Splits text into words. No word is empty or contains only white space."""

    @abstractmethod
    def tokenize_with_offsets(self, text: str) -> list[Token]:
        """The words of a text in order, each with its position."""

    @abstractmethod
    def fingerprint(self) -> dict[str, Any]:
        """Everything that determines the words, in plain values for JSON: name, arguments, version."""

    def tokenize(self, text: str) -> list[str]:
        return [token.text for token in self.tokenize_with_offsets(text)]

    def tokenize_batch(self, texts: list[str]) -> list[list[str]]:
        """`tokenize` for each text; a subclass may have a faster way."""
        return [self.tokenize(text) for text in texts]
