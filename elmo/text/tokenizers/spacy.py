"""spaCy's rule-based tokenizers for some seventy languages (extra `spacy`); no trained pipeline is needed."""

from __future__ import annotations

from typing import Any

from elmo.errors import InputError
from elmo.registry import REGISTRY
from elmo.text.tokenizers.tokenizer import Token, Tokenizer


@REGISTRY.register("tokenizer", "spacy")
class SpacyTokenizer(Tokenizer):
    """The tokenizer of `spacy.blank(language)`, without its white-space tokens.

    Raises:
        InputError: spaCy is not installed or does not know the language.
    """

    def __init__(self, *, language: str = "en") -> None:
        try:
            import spacy
        except ImportError as error:
            raise InputError('tokenizer=spacy needs spaCy: pip install -e ".[spacy]"') from error
        try:
            self._tokenizer = spacy.blank(language).tokenizer
        except ImportError as error:  # spaCy imports the language as a module, with its dependencies
            reason = " ".join(str(error).split())
            raise InputError(f"tokenizer.language: spaCy cannot tokenize {language!r}: {reason}") from error
        self.language = language
        self._version = spacy.__version__

    def tokenize_with_offsets(self, text: str) -> list[Token]:
        words = (word for word in self._tokenizer(text) if not word.is_space)
        return [Token(word.text, word.idx, word.idx + len(word.text)) for word in words]

    def fingerprint(self) -> dict[str, Any]:
        return {"type": "spacy", "language": self.language, "spacy": self._version}
