"""The Moses tokenizer of machine translation, by sacremoses (extra `moses`)."""

from __future__ import annotations

from typing import Any

from elmo.errors import InputError
from elmo.registry import REGISTRY
from elmo.text.tokenizers.tokenizer import Token, Tokenizer


@REGISTRY.register("tokenizer", "moses")
class MosesTokenizer(Tokenizer):
    """Moses's rules for a language, without escaping `&`, `<` and similar characters.

    sacremoses changes some texts, for example those with its internal placeholder DOTMULTI, so that offsets
    would be wrong; such a text is split at white space instead.

    Raises:
        InputError: sacremoses is not installed.
    """

    def __init__(self, *, language: str = "en") -> None:
        try:
            import sacremoses
        except ImportError as error:
            raise InputError('tokenizer=moses needs sacremoses: pip install -e ".[moses]"') from error
        self.language = language
        self._version = sacremoses.__version__
        self._moses = sacremoses.MosesTokenizer(lang=language)

    def tokenize_with_offsets(self, text: str) -> list[Token]:
        words = self._moses.tokenize(text, escape=False)
        return _align(words, text) or _align(text.split(), text) or []

    def fingerprint(self) -> dict[str, Any]:
        return {"type": "moses", "language": self.language, "sacremoses": self._version}


def _align(words: list[str], text: str) -> list[Token] | None:
    """The position of each word in the text; None if the words, in order, do not cover all visible text."""
    tokens: list[Token] = []
    end = 0
    for word in words:
        start = text.find(word, end)
        if start < 0 or text[end:start].strip():
            return None
        end = start + len(word)
        tokens.append(Token(word, start, end))
    return None if text[end:].strip() else tokens
