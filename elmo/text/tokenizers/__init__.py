"""Tokenizers: split a sentence into words, each with its position in the text."""

from __future__ import annotations

from elmo.text.tokenizers.tokenizer import Token, Tokenizer

__all__ = ["Token", "Tokenizer"]
