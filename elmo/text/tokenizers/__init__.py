"""Tokenizers: from a sentence to its words, each with its place in the text."""

from __future__ import annotations

from elmo.text.tokenizers.tokenizer import Token, Tokenizer

__all__ = ["Token", "Tokenizer"]
