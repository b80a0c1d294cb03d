"""Words and punctuation marks of any language, fast: one pattern, run by Hugging Face `tokenizers`."""

from __future__ import annotations

from typing import Any

import tokenizers
from tokenizers.pre_tokenizers import Split

from elmo.registry import REGISTRY
from elmo.text.tokenizers.tokenizer import Token, Tokenizer

_LETTERS = r"[\p{L}\p{M}\p{N}\p{Pc}&&[^\p{Han}]]"  # with marks: vowel signs and accents are part of a word
_JOINERS = r"['\x{2019}\x{AD}\x{200C}\x{200D}]"  # inside a word: apostrophes, soft hyphen, zero-width joiners
_SYMBOL = r"\p{So}[\p{M}\x{1F3FB}-\x{1F3FF}]*"  # an emoji with its skin tone or variation selector
_WORD = rf"{_LETTERS}+(?:{_JOINERS}{_LETTERS}+)*"
# As in the Penn Treebank: do n't, film 's; the match of the word before a contraction is lazy.
_CONTRACTION = rf"(?i:n['\x{{2019}}]t|['\x{{2019}}](?:s|m|d|re|ve|ll))(?!{_LETTERS})"
_BEFORE_CONTRACTION = rf"{_LETTERS}+?(?:{_JOINERS}{_LETTERS}+?)*?(?={_CONTRACTION})"
_PATTERN = "|".join(
    [
        r"\p{Han}\p{M}*",  # each character is a word: finding Chinese words would need a dictionary
        r"\p{N}+(?:[.,]\p{N}+)+",  # 1,000.50
        r"(?:\p{L}\.){2,}",  # U.S.
        _WORD,
        r"[\x{1F1E6}-\x{1F1FF}]{2}",  # a flag is a pair of letter symbols
        rf"{_SYMBOL}(?:\x{{200D}}{_SYMBOL})*",
        r"\.{2,}|-{2,}",  # an ellipsis, a dash
        r"[^\s\x{1C}-\x{1F}\x{200B}\x{FEFF}]\p{M}*",  # any other visible character by itself
    ]
)


@REGISTRY.register("tokenizer", "words")
class WordsTokenizer(Tokenizer):
    """Runs of letters and digits, Han characters one by one, and each punctuation mark or symbol.

    A word keeps its apostrophes (don't, l'homme), a number its separators (1,000.50), initials their full
    stops (U.S.); words are split at hyphens. White space, zero-width spaces and byte-order marks separate
    words and are dropped; nothing else is dropped.

    Args:
        split_contractions: split English contractions into two words, as in the Penn Treebank and in the
            vocabularies of most word vectors: do n't, film 's, we 'll.
    """

    def __init__(self, *, split_contractions: bool = False) -> None:
        self._pattern = "|".join(
            [_CONTRACTION, _BEFORE_CONTRACTION, _PATTERN] if split_contractions else [_PATTERN]
        )
        self._splitter = Split(tokenizers.Regex(self._pattern), "removed", invert=True)

    def tokenize_with_offsets(self, text: str) -> list[Token]:
        return [Token(word, start, end) for word, (start, end) in self._splitter.pre_tokenize_str(text)]

    def tokenize(self, text: str) -> list[str]:
        return [word for word, _ in self._splitter.pre_tokenize_str(text)]

    def fingerprint(self) -> dict[str, Any]:
        return {"type": "words", "pattern": self._pattern, "tokenizers": tokenizers.__version__}
