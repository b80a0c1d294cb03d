"""Splits at white space: for text that is already tokenized."""

from __future__ import annotations

import re
from typing import Any

from elmo.registry import REGISTRY
from elmo.text.tokenizers.tokenizer import Token, Tokenizer

_WORD = re.compile(r"\S+")


@REGISTRY.register("tokenizer", "whitespace")
class WhitespaceTokenizer(Tokenizer):
    """Splits at any Unicode white space, no-break spaces included, and nowhere else."""

    def tokenize_with_offsets(self, text: str) -> list[Token]:
        return [Token(match.group(), *match.span()) for match in _WORD.finditer(text)]

    def tokenize(self, text: str) -> list[str]:
        return text.split()

    def tokenize_batch(self, texts: list[str]) -> list[list[str]]:
        return [text.split() for text in texts]

    def fingerprint(self) -> dict[str, Any]:
        return {"type": "whitespace"}
