"""The queries: occurrences of a word in the text, or in sentences of the user's; and what each may find."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from elmo.errors import InputError
from elmo.inference.embedder import ElmoEmbedder
from elmo.text.tokenizers import Tokenizer
from experiments.neighbours.search import Candidates
from experiments.neighbours.tokens import TokenTable
from experiments.neighbours.vectors import TokenVectors, normalized


class Occurrence(NamedTuple):
    """A token in its sentence.

    Attributes:
        words: of the sentence.
        position: of the token in it, from 0.
        line: of the text, from 1; None: a sentence of the user's.
        sense: of the token, where it is known.
    """

    words: list[str]
    position: int
    line: int | None
    sense: str | None

    @property
    def word(self) -> str:
        return self.words[self.position]


class Query(NamedTuple):
    """An occurrence, and its vector, (P,) float32 of length one."""

    occurrence: Occurrence
    vector: np.ndarray


def occurrence_of(tokens: TokenTable, row: int) -> Occurrence:
    """A token of the text, with its sentence."""
    sentence = tokens.sentence_of(row)
    start, _ = tokens.range_of(sentence)
    return Occurrence(
        tokens.words_of(sentence), row - start, int(tokens.lines_S[sentence]), tokens.sense_of(row)
    )


def text_queries(
    tokens: TokenTable, vectors: TokenVectors, rows: np.ndarray, *, num_queries: int
) -> list[Query]:
    """At most `num_queries` of a word's occurrences, at even distances over the text."""
    chosen = spread(rows, num_queries)
    found = zip(chosen.tolist(), normalized(vectors.rows(chosen)), strict=True)
    return [Query(occurrence_of(tokens, row), vector_P) for row, vector_P in found]


def given_queries(sentences: Sequence[Sequence[str]], word: str, embedder: ElmoEmbedder) -> list[Query]:
    """Each occurrence of a word in the sentences; all have it (see `read_queries`)."""
    return [
        Query(Occurrence(list(words), position, None, None), normalized(vectors[position]))
        for words, vectors in zip(sentences, embedder.stream(sentences), strict=True)
        for position, found in enumerate(words)
        if found == word
    ]


def read_queries(
    texts: Sequence[str], word: str, tokenizer: Tokenizer, *, lowercase: bool
) -> list[list[str]]:
    """The words of the user's sentences; InputError if one does not have the word."""
    sentences = [tokenizer.tokenize(text.lower() if lowercase else text) for text in texts]
    for text, words in zip(texts, sentences, strict=True):
        if word not in words:
            raise InputError(
                f"query: the word {word!r} is not in {text[:60]!r}; its words: {' '.join(words[:20])}"
            )
    return sentences


def check_word(tokens: TokenTable, word: str, *, name: str) -> None:
    """InputError, with the nearest spellings, if a word never occurs in the text."""
    if word not in tokens.types:
        near = tokens.nearest_spellings(word)
        hint = f"; nearest: {', '.join(near)}" if near else ""
        raise InputError(f"word: {word!r} never occurs in {name}{hint}")


def candidates_of(
    queries: Sequence[Query],
    tokens: TokenTable,
    *,
    same_word: bool,
    own_sentence: bool,
    repeated_sentences: bool,
) -> Candidates:
    """What the queries may find; never their own token.

    Args:
        queries: of one word.
        tokens: of the text.
        same_word: only occurrences of that word.
        own_sentence: also tokens of the query's sentence and of sentences with the same words.
        repeated_sentences: also tokens of a sentence that has stood in the text before.
    """
    allowed_N = np.ones(tokens.num_tokens, dtype=bool)
    if not repeated_sentences:
        allowed_N &= tokens.first_of_equals()
    if same_word:
        is_word_N = np.zeros(tokens.num_tokens, dtype=bool)
        is_word_N[tokens.rows_of(queries[0].occurrence.word)] = True
        allowed_N &= is_word_N
    excluded = []
    for occurrence, _ in queries:
        ranges = tokens.equal_sentences(occurrence.words)
        own = [(start + occurrence.position, start + occurrence.position + 1) for start, _ in ranges]
        excluded.append(own if own_sentence else ranges)
    return Candidates(allowed_N, excluded)


def spread(rows: np.ndarray, wanted: int) -> np.ndarray:
    """At most `wanted` of some rows, at even distances."""
    places = np.linspace(0, len(rows) - 1, num=min(len(rows), wanted)).astype(np.int64)
    return rows[places]
