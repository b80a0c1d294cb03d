"""Unigram and bigram models of the training text: the baselines of a perplexity.

Shape legend: T words of a block, P predictions (the words and ends of sentences), V words of the vocabulary,
G distinct bigrams.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

import numpy as np

from elmo.text.characters import BEGIN_TYPE, END_TYPE
from elmo.text.vocabulary import Vocabulary
from tasks.language_model.corpus import BLOCK_SIZE, Corpus

# vocabulary ids of words without markers, and the offsets of the sentences in them
Block = tuple[np.ndarray, np.ndarray]

FALLBACK_DISCOUNT = 0.75  # used if no bigram occurs exactly once (a repeated text): no estimate is possible
# Number of bigrams to collect before a merge: large enough that sorting, not the calls, takes the time.
MERGE_AT_LEAST = 1 << 21


class Baselines(NamedTuple):
    """Perplexities over the n + 1 predictions of a forward language model for a sentence of n words."""

    unigram_perplexity: float
    bigram_perplexity: float
    num_train_tokens: int
    truncated: bool  # whether the training text is longer than `max_tokens`


class Model(Protocol):
    def probabilities(self, previous_P: np.ndarray, following_P: np.ndarray) -> np.ndarray: ...


def baseline_perplexities(
    train: Iterable[Block], test: Iterable[Block], *, vocabulary_size: int, max_tokens: int = 100_000_000
) -> Baselines:
    """Perplexities on `test` of a unigram and a bigram model of the first `max_tokens` words of `train`.

    Each block is read only once; memory grows only with the number of distinct bigrams.
    """
    counts, truncated = BigramCounts(vocabulary_size=vocabulary_size), False
    for ids_T, offsets in train:
        if counts.num_tokens >= max_tokens:
            truncated = True
            break
        counts.add(ids_T, offsets)
    models = (Unigram(counts), KneserNeyBigram(counts))
    unigram, bigram = _perplexities(models, test)
    return Baselines(unigram, bigram, counts.num_tokens, truncated)


class BigramCounts:
    """Counts of bigrams; `<S>` precedes a sentence's first word and `</S>` follows its last."""

    def __init__(self, *, vocabulary_size: int) -> None:
        self.vocabulary_size = vocabulary_size
        self.num_tokens = 0
        self._keys_G = np.zeros(0, dtype=np.int64)
        self._counts_G = np.zeros(0, dtype=np.int64)
        self._waiting: list[np.ndarray] = []
        self._num_waiting = 0

    def add(self, ids_T: np.ndarray, offsets: np.ndarray) -> None:
        """Counts sentences of ids without markers; `ids_T[offsets[i]:offsets[i + 1]]` is sentence i."""
        previous_P, following_P = _predictions(ids_T, offsets)
        self._waiting.append(previous_P * self.vocabulary_size + following_P)
        self._num_waiting += len(previous_P)
        self.num_tokens += len(ids_T)
        # Waiting for as many bigrams as there are already keeps the cost of all merges linear in the text.
        if self._num_waiting >= max(MERGE_AT_LEAST, len(self._keys_G)):
            self._merge()

    def table(self) -> tuple[np.ndarray, np.ndarray]:
        """The distinct bigrams, ascending, as `previous * vocabulary size + following`, and their counts."""
        if self._num_waiting:
            self._merge()
        return self._keys_G, self._counts_G

    def _merge(self) -> None:
        keys, counts = np.unique(np.concatenate(self._waiting), return_counts=True)
        self._waiting, self._num_waiting = [], 0
        if not len(self._keys_G):
            self._keys_G, self._counts_G = keys, counts
            return
        place = np.searchsorted(self._keys_G, keys)
        known = self._keys_G[np.minimum(place, len(self._keys_G) - 1)] == keys
        self._counts_G[place[known]] += counts[known]
        self._keys_G = np.insert(self._keys_G, place[~known], keys[~known])
        self._counts_G = np.insert(self._counts_G, place[~known], counts[~known])


class Unigram:
    """Relative frequencies of the words and of `</S>`, with add-one smoothing."""

    def __init__(self, counts: BigramCounts) -> None:
        keys_G, counts_G = counts.table()
        occurrences_V = (
            np.bincount(keys_G % counts.vocabulary_size, counts_G, minlength=counts.vocabulary_size) + 1.0
        )
        occurrences_V[BEGIN_TYPE] = 0.0
        self._probabilities_V = occurrences_V / occurrences_V.sum()

    def probabilities(self, previous_P: np.ndarray, following_P: np.ndarray) -> np.ndarray:
        """The probability of each following word, independent of the previous one: (P,) float64."""
        return self._probabilities_V[following_P]


class KneserNeyBigram:
    """Interpolated Kneser-Ney bigram (Kneser and Ney 1995; Chen and Goodman 1999), one discount per order.

    The lower order counts the contexts of each word and is itself interpolated with the uniform distribution
    over all words but `<S>`, so that every bigram has a probability above 0.
    """

    def __init__(self, counts: BigramCounts) -> None:
        size = self._vocabulary_size = counts.vocabulary_size
        self._keys_G, self._counts_G = counts.table()
        self._discount = estimate_discount(self._counts_G)
        previous_G = self._keys_G // size
        self._occurrences_V = np.bincount(previous_G, self._counts_G, minlength=size)
        self._followers_V = np.bincount(previous_G, minlength=size)
        self._lower_V = _continuation_probabilities(np.bincount(self._keys_G % size, minlength=size))

    def probabilities(self, previous_P: np.ndarray, following_P: np.ndarray) -> np.ndarray:
        """The probability of each following word after its previous one: (P,) float64."""
        occurrences_P = self._occurrences_V[previous_P]
        seen_P = np.maximum(self._count(previous_P, following_P) - self._discount, 0.0)
        spared_P = np.where(occurrences_P > 0, self._discount * self._followers_V[previous_P], 1.0)
        return (seen_P + spared_P * self._lower_V[following_P]) / np.maximum(occurrences_P, 1.0)

    def _count(self, previous_P: np.ndarray, following_P: np.ndarray) -> np.ndarray:
        wanted_P = previous_P.astype(np.int64) * self._vocabulary_size + following_P
        place_P = np.minimum(np.searchsorted(self._keys_G, wanted_P), len(self._keys_G) - 1)
        return np.where(self._keys_G[place_P] == wanted_P, self._counts_G[place_P], 0)


def estimate_discount(counts: np.ndarray) -> float:
    """n1 / (n1 + 2 n2); n1, n2: number of events that occur once, twice (Ney, Essen and Kneser 1994)."""
    once, twice = np.count_nonzero(counts == 1), np.count_nonzero(counts == 2)
    return once / (once + 2 * twice) if once else FALLBACK_DISCOUNT


def _continuation_probabilities(contexts_V: np.ndarray) -> np.ndarray:
    discount = estimate_discount(contexts_V)
    spared = discount * np.count_nonzero(contexts_V)
    lower_V = np.maximum(contexts_V - discount, 0.0) + spared / (len(contexts_V) - 1)
    lower_V[BEGIN_TYPE] = 0.0
    return lower_V / contexts_V.sum()


def _predictions(ids_T: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inputs `<S>` w1 .. wn and targets w1 .. wn `</S>` of a forward language model: (P,), (P,)."""
    ids_T = ids_T.astype(np.int64)
    return np.insert(ids_T, offsets[:-1], BEGIN_TYPE), np.insert(ids_T, offsets[1:], END_TYPE)


def _perplexities(models: Iterable[Model], test: Iterable[Block]) -> list[float]:
    models = list(models)
    totals, num_predictions = np.zeros(len(models)), 0
    for ids_T, offsets in test:
        previous_P, following_P = _predictions(ids_T, offsets)
        totals -= [np.log(model.probabilities(previous_P, following_P)).sum() for model in models]
        num_predictions += len(following_P)
    return [float(perplexity) for perplexity in np.exp(totals / num_predictions)]


def baseline_figures(corpora: Mapping[str, Corpus], vocabulary: Vocabulary) -> dict[str, float]:
    """Perplexities of a unigram and an interpolated bigram model on the test text.

    They are estimated from at most the first 100 million words of the training text.
    """
    train, test = (_id_blocks(corpora[split], vocabulary) for split in ("train", "test"))
    found = baseline_perplexities(train, test, vocabulary_size=len(vocabulary))
    return {
        "test/unigram_perplexity": found.unigram_perplexity,
        "test/bigram_perplexity": found.bigram_perplexity,
        "baseline/train_tokens": found.num_train_tokens,
    }


def _id_blocks(corpus: Corpus, vocabulary: Vocabulary) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A corpus as vocabulary ids, in blocks of some thousand sentences."""
    ids_V = vocabulary.ids_of(corpus.types)
    for start in range(0, corpus.num_sentences, BLOCK_SIZE):
        types, offsets = corpus.read_sentences(start, min(start + BLOCK_SIZE, corpus.num_sentences))
        yield ids_V[types], offsets
