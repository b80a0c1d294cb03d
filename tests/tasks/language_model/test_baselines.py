"""The n-gram baselines: hand-worked probabilities, sums to one, a slow implementation with dictionaries."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from tasks.language_model import baselines as ngram
from tasks.language_model.baselines import (
    BigramCounts,
    KneserNeyBigram,
    Unigram,
    baseline_perplexities,
    estimate_discount,
)

Sentences = list[list[int]]


def block(sentences: Sentences) -> tuple[np.ndarray, np.ndarray]:
    ids = np.array([word for sentence in sentences for word in sentence], dtype=np.int32)
    return ids, np.cumsum([0, *map(len, sentences)], dtype=np.int64)


def counted(sentences: Sentences, vocabulary_size: int) -> BigramCounts:
    counts = BigramCounts(vocabulary_size=vocabulary_size)
    counts.add(*block(sentences))
    return counts


def random_sentences(seed: int, *, count: int, vocabulary_size: int) -> Sentences:
    generator = np.random.default_rng(seed)
    lengths = generator.integers(0, 9, size=count)
    return [list(2 + generator.zipf(1.5, size=n) % (vocabulary_size - 2)) for n in lengths]


def with_markers(sentences: Sentences) -> Iterator[tuple[int, int]]:
    for sentence in sentences:
        yield from zip([0, *sentence], [*sentence, 1], strict=True)


def dictionary_perplexity(train: Sentences, test: Sentences, vocabulary_size: int) -> float:
    """Interpolated Kneser-Ney written down word by word from its formula."""
    bigrams = Counter(with_markers(train))
    occurrences: Counter[int] = Counter()
    followers, contexts = Counter(u for u, _ in bigrams), Counter(w for _, w in bigrams)
    for (u, _), count in bigrams.items():
        occurrences[u] += count

    def discount(values: list[int]) -> float:
        return values.count(1) / (values.count(1) + 2 * values.count(2))

    high, low = discount(list(bigrams.values())), discount(list(contexts.values()))

    def lower(w: int) -> float:
        uniform = low * len(contexts) / (vocabulary_size - 1)
        return (max(contexts[w] - low, 0) + uniform) / len(bigrams)

    def probability(u: int, w: int) -> float:
        if not occurrences[u]:
            return lower(w)
        return (max(bigrams[u, w] - high, 0) + high * followers[u] * lower(w)) / occurrences[u]

    logarithms = [np.log(probability(u, w)) for u, w in with_markers(test)]
    return float(np.exp(-np.mean(logarithms)))


def test_probabilities_equal_a_hand_worked_example() -> None:
    # Sentences "a b", "a b", "a" over <S> </S> <UNK> a b: bigrams <S>a 3, ab 2, b</S> 2, a</S> 1.
    counts = counted([[3, 4], [3, 4], [3]], 5)
    assert estimate_discount(counts.table()[1]) == pytest.approx(1 / 5)  # one bigram once, two of them twice
    # Contexts of </S> 2, a 1, b 1: discount 2 / (2 + 2 * 1) = 1/2; 3 * 1/2 is shared by the four words.
    lower = {1: (1.5 + 0.375) / 4, 2: 0.375 / 4, 3: (0.5 + 0.375) / 4, 4: (0.5 + 0.375) / 4}
    model = KneserNeyBigram(counts)
    previous, following = np.array([3, 3, 3, 0, 2]), np.array([4, 1, 2, 3, 4])
    expected = [
        (1.8 + 0.4 * lower[4]) / 3,
        (0.8 + 0.4 * lower[1]) / 3,
        0.4 * lower[2] / 3,
        (2.8 + 0.2 * lower[3]) / 3,
        lower[4],
    ]
    assert model.probabilities(previous, following) == pytest.approx(expected)
    # Occurrences </S> 3, a 3, b 2, one more each with <UNK>: of 12.
    assert Unigram(counts).probabilities(previous, following) == pytest.approx(
        [3 / 12, 4 / 12, 1 / 12, 4 / 12, 3 / 12]
    )


@pytest.mark.parametrize("seed", range(3))
def test_probabilities_sum_to_one_after_every_word(seed: int) -> None:
    size = 12
    counts = counted(random_sentences(seed, count=20, vocabulary_size=size), size)
    for model in (Unigram(counts), KneserNeyBigram(counts)):
        for previous in range(size):
            following = np.arange(1, size)  # without <S>, which is never predicted
            probabilities = model.probabilities(np.full(size - 1, previous), following)
            assert probabilities.sum() == pytest.approx(1.0, abs=1e-12)
            assert (probabilities > 0).all()


def test_bigram_perplexity_equals_the_one_of_dictionaries() -> None:
    train = random_sentences(1, count=300, vocabulary_size=400)
    test = random_sentences(2, count=50, vocabulary_size=500)  # some of its words are in no training sentence
    result = baseline_perplexities([block(train)], [block(test)], vocabulary_size=500)
    assert result.bigram_perplexity == pytest.approx(dictionary_perplexity(train, test, 500), rel=1e-9)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngram, "MERGE_AT_LEAST", 50)  # so that blocks are merged many times
    sentences, test = (random_sentences(seed, count=200, vocabulary_size=30) for seed in (3, 4))
    whole = baseline_perplexities([block(sentences)], [block(test)], vocabulary_size=30)
    parts = baseline_perplexities(
        (block(sentences[i : i + 7]) for i in range(0, 200, 7)),
        (block(test[i : i + 11]) for i in range(0, 200, 11)),
        vocabulary_size=30,
    )
    assert parts == pytest.approx(whole)


def test_sentences_of_a_uniform_text_have_the_perplexity_of_their_choices() -> None:
    # Each sentence is one of eight words: its first prediction is one of eight, its second certain.
    sentences = [[2 + i % 8] for i in range(80_000)]
    result = baseline_perplexities([block(sentences)], [block(sentences)], vocabulary_size=10)
    assert result.bigram_perplexity == pytest.approx(8**0.5, rel=1e-3)
    assert result.unigram_perplexity == pytest.approx((2 * 16) ** 0.5, rel=1e-3)


def test_training_stops_after_the_first_tokens_and_says_so() -> None:
    blocks = [block([[2, 3, 4]]), block([[4, 3]]), block([[2]])]
    result = baseline_perplexities(iter(blocks), [block([[2, 3]])], vocabulary_size=5, max_tokens=4)
    assert (result.num_train_tokens, result.truncated) == (5, True)
    whole = baseline_perplexities(iter(blocks), [block([[2, 3]])], vocabulary_size=5, max_tokens=6)
    assert (whole.num_train_tokens, whole.truncated) == (6, False)


def test_a_repeated_text_without_single_bigrams_still_has_a_finite_perplexity() -> None:
    sentences = random_sentences(5, count=100, vocabulary_size=20) * 10
    result = baseline_perplexities([block(sentences)], [block([[19, 18, 17, 2]])], vocabulary_size=20)
    assert np.isfinite(result.bigram_perplexity)


def test_two_million_tokens_take_under_two_seconds() -> None:
    generator = np.random.default_rng(0)
    ids = (2 + generator.zipf(1.3, size=2_200_000) % 22_000).astype(np.int32)
    offsets = np.arange(0, len(ids) + 1, 20)
    began = time.process_time()
    baseline_perplexities([(ids, offsets)], [(ids[:100_000], offsets[:5_001])], vocabulary_size=22_002)
    assert time.process_time() - began < 2
