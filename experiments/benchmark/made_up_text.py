"""A made-up text whose words are as frequent and as long as those of English, so that no data is needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from elmo.text.vocabulary import MARKERS

_LETTERS = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz", dtype="S1")
_SHIFT, _EXPONENT = 2.7, 1.12  # P(rank) ~ (rank + shift) ** -exponent (Mandelbrot 1953)
_WORDS_PER_SENTENCE = 25  # of the 1 Billion Word Benchmark


def write_text(directory: Path, *, num_types: int, num_words: int, seed: int = 1) -> tuple[Path, Path]:
    """Write a text of one sentence a line, and the vocabulary of all its words by descending frequency.

    Args:
        directory: of the two files.
        num_types: of the vocabulary, markers included; a short text does not contain all of them.
        num_words: of the text.
        seed: of the text.

    Returns:
        The paths of the text and of the vocabulary.
    """
    generator = np.random.default_rng(seed)
    words = np.array(_spelled(num_types - len(MARKERS), generator))
    shares = (np.arange(len(words)) + 1 + _SHIFT) ** -_EXPONENT
    drawn = words[np.searchsorted(np.cumsum(shares) / shares.sum(), generator.random(num_words))]
    text, vocabulary = directory / "text.txt", directory / "vocabulary.txt"
    with text.open("w", encoding="utf-8") as file:
        start = 0
        while start < num_words:
            length = int(generator.integers(1, 2 * _WORDS_PER_SENTENCE))
            file.write(" ".join(drawn[start : start + length]) + "\n")
            start += length
    vocabulary.write_text("\n".join([*MARKERS, *words]) + "\n", encoding="utf-8")
    return text, vocabulary


def _spelled(number: int, generator: np.random.Generator) -> list[str]:
    """Distinct words of random letters, of some three for the most frequent to some ten for the rarest."""
    found: dict[str, None] = {}
    while len(found) < number:
        rank = len(found) + np.arange(number - len(found))
        lengths = 2 + generator.poisson(0.6 + 0.45 * np.log(rank + 2))
        letters = generator.choice(_LETTERS, lengths.sum()).tobytes().decode()
        ends = np.cumsum(lengths)
        found |= {letters[end - size : end]: None for end, size in zip(ends, lengths, strict=True)}
    return list(found)
