"""The nearest words of a word whatever the sentence: by GloVe's vectors, or by the biLM's own layer 0.

Shape legend: V words, P size of a vector.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np

from elmo.errors import InputError
from elmo.files import atomic_write
from elmo.inference.embedder import ElmoEmbedder
from experiments.neighbours.tokens import TokenTable
from experiments.neighbours.vectors import normalized
from tasks.encoders.word_vector_file import (
    WordVectorTable,
    check_file,
    check_package,
    read_packaged_vectors,
    read_word_vectors,
)

LOG = logging.getLogger(__name__)
AUTO, GLOVE, MODEL = "auto", "glove", "model"
_MOST_TYPES = 100_000  # of a text, the most frequent ones, that the biLM's layer 0 computes


class ContextFree(NamedTuple):
    """The words nearest to a word.

    Attributes:
        source: where the vectors are from.
        neighbours: words and cosines, the nearest first; empty if the source does not have the word.
    """

    source: str
    neighbours: list[tuple[str, float]]


def check_word_vectors(choice: str) -> None:
    """InputError if the vectors of a choice cannot be read."""
    if choice == GLOVE:
        try:
            check_package()
        except InputError as error:
            raise InputError(str(error).replace("encoder.path: null", "word_vectors: glove")) from error
    elif choice not in (AUTO, MODEL):
        try:
            check_file(Path(choice).expanduser())
        except InputError as error:
            raise InputError(str(error).replace("encoder.path:", "word_vectors:")) from error


def context_free(
    word: str, *, choice: str, num_neighbours: int, embedder: ElmoEmbedder, tokens: TokenTable, path: Path
) -> ContextFree:
    """The words nearest to a word, which is looked up as it is, then in lower case.

    Args:
        word: to find.
        choice: `glove` (the package of the extra), `model` (the biLM's layer 0, of the types of the text),
            `auto` (the former where it is installed, otherwise the latter), or the path of a text file.
        num_neighbours: how many.
        embedder: of the biLM.
        tokens: of the text.
        path: of the file that keeps the vectors of layer 0.
    """
    if choice == AUTO:
        choice = GLOVE if _is_installed() else MODEL
    if choice == MODEL:
        table, source = _layer_0(word, embedder, tokens, path), "the biLM's layer 0, types of the text"
    elif choice == GLOVE:
        table, source = read_packaged_vectors(), "GloVe (glove.6B, 50 dimensions)"
    else:
        table, source = read_word_vectors(Path(choice).expanduser()), choice
    return ContextFree(source, _nearest(word, table, num_neighbours))


def _is_installed() -> bool:
    try:
        check_package()
    except InputError:
        return False
    return True


def _nearest(word: str, table: WordVectorTable, num_neighbours: int) -> list[tuple[str, float]]:
    rows = {known: row for row, known in enumerate(table.words)}
    row = rows.get(word, rows.get(word.lower()))
    if row is None:
        return []
    vectors_VP = normalized(table.vectors.astype(np.float32, copy=False))
    scores_V = vectors_VP @ vectors_VP[row]
    scores_V[row] = -np.inf
    wanted = min(num_neighbours, len(rows) - 1)
    order = np.argsort(-scores_V, kind="stable")[:wanted]
    return [(table.words[number], float(scores_V[number])) for number in order]


def _layer_0(word: str, embedder: ElmoEmbedder, tokens: TokenTable, path: Path) -> WordVectorTable:
    """The vectors of a text's types, and of the word if it is none of them, each read alone."""
    counts = np.bincount(tokens.types_N, minlength=len(tokens.types))
    chosen = np.sort(np.argsort(-counts, kind="stable")[:_MOST_TYPES])
    words = [tokens.types[number] for number in chosen]
    if len(chosen) < len(tokens.types):
        LOG.warning("word_vectors: of %d types, the %d most frequent ones", len(tokens.types), len(chosen))
    if path.exists():
        vectors_VP = np.load(path, allow_pickle=False)
    else:
        vectors_VP = _vectors_alone(words, embedder)
        with atomic_write(path) as aside, aside.open("wb") as file:
            np.save(file, vectors_VP, allow_pickle=False)
    if word not in words:
        words, vectors_VP = [*words, word], np.concatenate([vectors_VP, _vectors_alone([word], embedder)])
    return WordVectorTable(words, vectors_VP)


def _vectors_alone(words: list[str], embedder: ElmoEmbedder) -> np.ndarray:
    """(V, P) float32 vectors of layer 0."""
    return np.concatenate(list(embedder.stream(([word] for word in words), layers=0)))
