"""Batches against examples worked by hand, and in every order: nothing lost, nothing twice, resumable."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import oracle
import pytest
import torch

from elmo.bilm.char_cnn import CharCnn
from elmo.bilm.char_cnn_lstm import CharCnnLstm
from elmo.bilm.lstm import State
from elmo.errors import InputError
from elmo.registry import REGISTRY
from elmo.text.characters import PAD, TypeTable
from elmo.text.vocabulary import Vocabulary
from tasks.language_model import order as order_module
from tasks.language_model.batching import sentences as sentences_module
from tasks.language_model.batching import stream as stream_module
from tasks.language_model.batching.sentences import SentenceBatching
from tasks.language_model.batching.stream import StreamBatching
from tasks.language_model.corpus import Sentences, blocks, read_list
from tasks.language_model.model import Batch, BatchBuilder
from tasks.language_model.order import Permutation, Pool, Pools

BOS, EOS = "(", ")"  # how the markers are written here; no word of these corpora
FOUR = ["a b", "c", "d e f", "g"]
# 23 sentences of 1 to 7 words, each word with the number of its sentence
MANY = [" ".join(f"w{word}.{number}" for word in range(1 + number * 5 % 7)) for number in range(23)]


class TinyCorpus:
    """A corpus in memory, one sentence a line."""

    def __init__(self, lines: Iterable[str]) -> None:
        sentences = [line.split() for line in lines]
        words = list(dict.fromkeys(itertools.chain.from_iterable(sentences)))
        self.types = TypeTable.from_words(words)
        ids = {word: type_id for type_id, word in enumerate(words, start=2)}
        self._sentences = [np.array([ids[word] for word in s], dtype=np.int32) for s in sentences]
        self.num_sentences = len(sentences)
        self.num_tokens = sum(map(len, sentences))

    def read_sentences(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        wanted = self._sentences[start:stop]
        return np.concatenate(wanted), np.cumsum([0, *map(len, wanted)])


class InOrder(Pools):
    """Every epoch is one pool in the corpus's own order."""

    def next_pool(self) -> Pool:
        self.epoch += 1
        return Pool(*self.corpus.read_sentences(0, self.corpus.num_sentences))


@pytest.fixture
def small_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 2 sentences and pools of 3 blocks, so that 23 sentences are 4 pools."""
    monkeypatch.setattr(order_module, "BLOCK_SENTENCES", 2)
    monkeypatch.setattr(order_module, "POOL_BLOCKS", 3)


def reader(widest_filter: int) -> CharCnn:
    """A word layer that reads characters."""
    sizes = {"embedding_size": 1, "num_highways": 0, "projection_size": 1}
    return CharCnn(filters=[[widest_filter, 1]], activation="relu", **sizes)


def builder_of(corpus: Sentences, *, widest_filter: int = 3) -> BatchBuilder:
    """With every type as its own target."""
    return BatchBuilder(
        types=corpus.types, target_ids=np.arange(len(corpus.types)), words=reader(widest_filter)
    )


def pools_of(corpus: Sentences, *, seed: int = 0) -> Pools:
    return Pools(corpus=corpus, seed=seed)


def spelled(row: list[int]) -> str:
    """A row of characters as its word; the two markers as brackets."""
    inside = row[1 : row.index(259)]
    assert row[0] == 258 and set(row[row.index(259) + 1 :]) <= {PAD}
    return {(256,): BOS, (257,): EOS}.get(tuple(inside)) or bytes(inside).decode()


def rows_of(batch: Batch, types: TypeTable) -> list[list[tuple[list[str], list[str]]]]:
    """For each direction and row, the inputs (from their characters) and the targets, step by step."""
    assert batch.batch_sizes == sorted(batch.batch_sizes, reverse=True)
    assert batch.num_tokens == sum(batch.batch_sizes) == batch.targets_DN.shape[1]
    words = [spelled(row) for row in batch.types_U.tolist()]
    names = [BOS, EOS, *itertools.islice(types.words(), 2, None)]
    found = []
    for inputs, targets in zip(batch.inputs_DN.tolist(), batch.targets_DN.tolist(), strict=True):
        rows: list[tuple[list[str], list[str]]] = [([], []) for _ in range(batch.batch_sizes[0])]
        position = 0
        for size in batch.batch_sizes:
            for row in rows[:size]:
                row[0].append(words[inputs[position]])
                row[1].append(names[targets[position]])
                position += 1
        found.append(rows)
    return found


def written(batch: Batch, types: TypeTable) -> list[list[str]]:
    """For each direction and row, `inputs > targets`."""
    return [
        [f"{' '.join(inputs)} > {' '.join(targets)}" for inputs, targets in rows]
        for rows in rows_of(batch, types)
    ]


def predictions(batches: Iterable[Batch], types: TypeTable) -> list[Counter[tuple[str, str]]]:
    """For each direction, how often each (input, target) occurs."""
    counts: list[Counter[tuple[str, str]]] = [Counter(), Counter()]
    for batch in batches:
        for direction, rows in enumerate(rows_of(batch, types)):
            for inputs, targets in rows:
                counts[direction].update(zip(inputs, targets, strict=True))
    return counts


def expected_predictions(lines: Iterable[str], *, times: int = 1) -> list[Counter[tuple[str, str]]]:
    counts: list[Counter[tuple[str, str]]] = [Counter(), Counter()]
    for line in list(lines) * times:
        forward = [BOS, *line.split(), EOS]
        counts[0].update(itertools.pairwise(forward))
        counts[1].update(itertools.pairwise(forward[::-1]))
    return counts


def take_epochs(batches: Iterator[Batch], *, num_tokens: int) -> list[Batch]:
    """Batches until exactly so many predictions have been made per direction."""
    taken: list[Batch] = []
    while sum(batch.num_tokens for batch in taken) < num_tokens:
        taken.append(next(batches))
    assert sum(batch.num_tokens for batch in taken) == num_tokens
    return taken


def assert_same(actual: Batch, expected: Batch) -> None:
    assert torch.equal(actual.types_U, expected.types_U)
    assert torch.equal(actual.inputs_DN, expected.inputs_DN)
    assert torch.equal(actual.targets_DN, expected.targets_DN)
    assert actual.batch_sizes == expected.batch_sizes and actual.carried == expected.carried


def make_batching(name: str, *, num_steps: int = 4, batch_size: int = 3) -> SentenceBatching | StreamBatching:
    return REGISTRY.build("batching", {"type": name, "num_steps": num_steps}, batch_size=batch_size)


def test_stream_rows_pull_the_next_sentence_when_they_run_out_and_go_on_over_batches_and_epochs() -> None:
    corpus = TinyCorpus(FOUR)
    batches = StreamBatching(num_steps=4, batch_size=2).training_batches(
        InOrder(corpus=corpus, seed=0), builder_of(corpus)
    )
    first, second, third = (next(batches) for _ in range(3))
    assert written(first, corpus.types) == [
        ["( a b ( > a b ) c", "( d e f > d e f )"],
        [") b a ) > b a ( c", ") f e d > f e d ("],
    ]
    # row 0: the rest of "c", "g", and "a b" of the second epoch; row 1: "c" and "d e f" of the second epoch
    assert written(second, corpus.types) == [
        ["c ( g ( > ) g ) a", "( c ( d > c ) d e"],
        ["c ) g ) > ( g ( b", ") c ) f > c ( f e"],
    ]
    assert written(third, corpus.types) == [
        ["a b ( g > b ) g )", "e f ( a > f ) a b"],
        ["b a ) g > a ( g (", "e d ) b > d ( b a"],
    ]
    assert [batch.batch_sizes for batch in (first, second, third)] == [[2] * 4] * 3
    assert [batch.carried for batch in (first, second, third)] == [False, True, True]


def test_stream_sentences_longer_than_a_batch_go_on_in_the_next() -> None:
    corpus = TinyCorpus(["a b c d e"])
    batches = StreamBatching(num_steps=2, batch_size=1).training_batches(
        InOrder(corpus=corpus, seed=0), builder_of(corpus)
    )
    rows = [written(next(batches), corpus.types) for _ in range(4)]
    assert [forward for [forward], _ in rows] == ["( a > a b", "b c > c d", "d e > e )", "( a > a b"]
    assert [backward for _, [backward] in rows] == [") e > e d", "d c > c b", "b a > a (", ") e > e d"]


def test_sentences_of_a_batch_stand_longest_first_each_whole_and_from_zero_state() -> None:
    corpus = TinyCorpus(FOUR)
    batching = SentenceBatching(num_steps=3, batch_size=3)  # at most 9 predictions
    batches = list(batching.evaluation_batches(corpus, builder_of(corpus)))
    assert [written(batch, corpus.types) for batch in batches] == [
        [
            ["( d e f > d e f )", "( a b > a b )", "( c > c )"],
            [") f e d > f e d (", ") b a > b a (", ") c > c ("],
        ],
        [["( g > g )"], [") g > g ("]],
    ]
    assert [batch.batch_sizes for batch in batches] == [[3, 3, 2, 1], [1, 1]]
    assert not any(batch.carried for batch in batches)


def test_evaluation_in_rows_deals_sentences_to_the_row_that_ends_first_and_narrows() -> None:
    corpus = TinyCorpus(FOUR)
    batching = StreamBatching(num_steps=4, batch_size=2)
    batches = list(batching.evaluation_batches(corpus, builder_of(corpus)))
    # "a b" and then "g" end at 5, the longer row of "c" and "d e f" at 6: it comes first
    assert [written(batch, corpus.types) for batch in batches] == [
        [["( c ( d > c ) d e", "( a b ( > a b ) g"], [") c ) f > c ( f e", ") b a ) > b a ( g"]],
        [["e f > f )", "g > )"], ["e d > d (", "g > ("]],
    ]
    assert [batch.batch_sizes for batch in batches] == [[2] * 4, [2, 1]]
    assert [batch.carried for batch in batches] == [False, True]


@pytest.mark.parametrize("block_size", [None, 5, 1])
@pytest.mark.parametrize(("num_steps", "batch_size"), [(4, 3), (1, 1), (100, 100), (3, 30)])
@pytest.mark.parametrize("name", ["stream", "sentences"])
def test_evaluation_predicts_every_token_once_in_both_directions(
    name: str, num_steps: int, batch_size: int, block_size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if block_size:
        for module in (stream_module, sentences_module):
            monkeypatch.setattr(module, "blocks", functools.partial(blocks, size=block_size))
    corpus = TinyCorpus(MANY)
    batching = make_batching(name, num_steps=num_steps, batch_size=batch_size)
    batches = list(batching.evaluation_batches(corpus, builder_of(corpus)))
    assert predictions(batches, corpus.types) == expected_predictions(MANY)
    assert sum(batch.num_tokens for batch in batches) == corpus.num_tokens + corpus.num_sentences
    assert not batches[0].carried


def test_evaluation_in_rows_starts_each_block_from_zero_and_never_widens_within_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream_module, "blocks", functools.partial(blocks, size=8))
    corpus = TinyCorpus(MANY)
    batches = list(StreamBatching(num_steps=4, batch_size=3).evaluation_batches(corpus, builder_of(corpus)))
    assert [batch.carried for batch in batches].count(False) == 3
    for before, batch in itertools.pairwise(batches):
        assert not batch.carried or batch.batch_sizes[0] <= before.batch_sizes[-1]
        if batch.carried:
            assert len(before.batch_sizes) == 4


@pytest.mark.parametrize("seed", [0, 1])
def test_one_stream_row_predicts_every_token_once_per_epoch(small_pools: None, seed: int) -> None:
    corpus = TinyCorpus(MANY)
    epoch = corpus.num_tokens + corpus.num_sentences
    batches = StreamBatching(num_steps=1, batch_size=1).training_batches(
        pools_of(corpus, seed=seed), builder_of(corpus)
    )
    for _ in range(3):
        taken = take_epochs(batches, num_tokens=epoch)
        assert predictions(taken, corpus.types) == expected_predictions(MANY)


def test_many_stream_rows_predict_every_token_once_per_epoch(small_pools: None) -> None:
    lines = [f"a{number} b{number} c{number}" for number in range(20)]  # a row of 4 steps is one sentence
    corpus = TinyCorpus(lines)
    batches = make_batching("stream", num_steps=4, batch_size=5).training_batches(
        pools_of(corpus), builder_of(corpus)
    )
    for _ in range(3):
        taken = take_epochs(batches, num_tokens=80)
        assert predictions(taken, corpus.types) == expected_predictions(lines)


def test_stream_rows_are_running_text_of_whole_sentences(small_pools: None) -> None:
    corpus = TinyCorpus(MANY)
    batches = make_batching("stream", num_steps=3, batch_size=4).training_batches(
        pools_of(corpus), builder_of(corpus)
    )
    rows: list[list[list[str]]] = [[[] for _ in range(4)] for _ in range(2)]
    for _ in range(30):
        for direction, found in enumerate(rows_of(next(batches), corpus.types)):
            for row, (inputs, targets) in enumerate(found):
                rows[direction][row] += [f"{i}>{t}" for i, t in zip(inputs, targets, strict=True)]
    forward = {line: [f"{i}>{t}" for i, t in itertools.pairwise([BOS, *line.split(), EOS])] for line in MANY}
    for row in range(4):
        steps, back = rows[0][row], rows[1][row]
        while steps:
            line = next(line for line in MANY if forward[line][0] == steps[0])
            whole = forward[line]
            size = min(len(whole), len(steps))
            assert steps[:size] == whole[:size]
            reverse = [f"{i}>{t}" for i, t in itertools.pairwise([EOS, *line.split()[::-1], BOS])]
            assert back[:size] == reverse[:size]
            steps, back = steps[size:], back[size:]


@pytest.mark.parametrize("budget", [1, 4, 12, 1000])
def test_sentences_predict_every_token_once_per_epoch_within_the_budget(
    small_pools: None, budget: int
) -> None:
    corpus = TinyCorpus(MANY)
    batches = SentenceBatching(num_steps=budget, batch_size=1).training_batches(
        pools_of(corpus), builder_of(corpus)
    )
    for _ in range(3):
        taken = take_epochs(batches, num_tokens=corpus.num_tokens + corpus.num_sentences)
        assert predictions(taken, corpus.types) == expected_predictions(MANY)
        for batch in taken:
            assert batch.num_tokens <= budget or batch.batch_sizes[0] == 1
            assert not batch.carried


def test_sentences_fill_their_budget_with_similar_lengths_and_come_in_no_order_of_length() -> None:
    corpus = TinyCorpus(" ".join("x" * (1 + number % 16)) for number in range(400))
    batching = SentenceBatching(num_steps=16, batch_size=4)
    batches = batching.training_batches(pools_of(corpus), builder_of(corpus))
    taken = take_epochs(batches, num_tokens=corpus.num_tokens + corpus.num_sentences)
    longest = [len(batch.batch_sizes) for batch in taken]
    assert longest != [len(next(batches).batch_sizes) for _ in taken]  # in the next epoch
    shortest = [
        max(step for step, size in enumerate(b.batch_sizes, 1) if size == b.batch_sizes[0]) for b in taken
    ]
    assert np.mean(np.subtract(longest, shortest)) < 2
    assert np.mean([batch.num_tokens for batch in taken]) > 0.85 * batching.tokens_per_batch
    falls = sum(after < before for before, after in itertools.pairwise(longest))
    rises = sum(after > before for before, after in itertools.pairwise(longest))
    assert min(falls, rises) > len(taken) / 4


@pytest.mark.parametrize("taken", [0, 1, 2, 7, 11, 40])
@pytest.mark.parametrize("name", ["stream", "sentences"])
def test_a_saved_position_goes_on_bit_for_bit(small_pools: None, name: str, taken: int) -> None:
    corpus = TinyCorpus(MANY)

    def start() -> Any:
        return make_batching(name).training_batches(pools_of(corpus, seed=4), builder_of(corpus))

    batches = start()
    for _ in range(taken):
        next(batches)
    state = batches.state_dict()
    expected = [next(batches) for _ in range(30)]  # more than an epoch, and no harm to the state
    resumed = start()
    resumed.load_state_dict(state)
    for batch in expected:
        assert_same(next(resumed), batch)
    again = resumed.state_dict()
    resumed.load_state_dict(again)
    assert_same(next(resumed), next(batches))


@pytest.mark.parametrize("name", ["stream", "sentences"])
def test_the_seed_decides_the_order(small_pools: None, name: str) -> None:
    corpus = TinyCorpus(MANY)

    def inputs(seed: int) -> list[list[list[str]]]:
        batches = make_batching(name).training_batches(pools_of(corpus, seed=seed), builder_of(corpus))
        return [written(next(batches), corpus.types) for _ in range(5)]

    assert inputs(1) == inputs(1)
    assert inputs(1) != inputs(2)


def read_epoch(pools: Pools) -> list[list[int]]:
    """The sentences of one epoch in the order in which pools give them."""
    epoch, sentences = pools.epoch, []
    while pools.epoch == epoch:
        sentences += [sentence.tolist() for sentence in pools.next_pool().sentences()]
    return sentences


@pytest.mark.parametrize("lines", [MANY, MANY[:1], MANY[:2], MANY[:12]])
def test_every_epoch_has_every_sentence_once_in_an_order_of_its_own(
    small_pools: None, lines: list[str]
) -> None:
    corpus = TinyCorpus(lines)
    everything = [sentence.tolist() for sentence in read_list(corpus, 0, corpus.num_sentences)]
    pools = pools_of(corpus)
    epochs = [read_epoch(pools) for _ in range(3)]
    assert all(sorted(epoch) == sorted(everything) for epoch in epochs)
    if len(lines) > 2:
        assert epochs[0] != epochs[1] != epochs[2]
        assert everything not in epochs
    if len(lines) > 6:  # more than a pool: its sentences are others in each epoch
        assert sorted(epochs[0][:6]) != sorted(epochs[1][:6]) != sorted(epochs[2][:6])


def test_a_pool_mixes_places_of_the_corpus_and_neighbours_part(small_pools: None) -> None:
    corpus = TinyCorpus(f"w{number}" for number in range(60))
    order = [sentence[0] for sentence in read_epoch(pools_of(corpus))]
    neighbours = sum(after == before + 1 for before, after in itertools.pairwise(order))
    assert neighbours < 20  # chunks of 2 in order would keep 30
    first_pool = order[:6]
    assert max(first_pool) - min(first_pool) > 20


def test_a_position_of_pools_is_where_the_next_one_begins(small_pools: None) -> None:
    corpus = TinyCorpus(MANY)
    pools = pools_of(corpus, seed=9)
    for _ in range(6):  # into the second epoch
        pools.next_pool()
    state = pools.state_dict()
    expected = [pools.next_pool() for _ in range(4)]
    other = pools_of(corpus, seed=9)
    other.load_state_dict(state)
    assert state == {"epoch": 1, "pool": 2}
    for pool in expected:
        assert [ids.tolist() for ids in other.next_pool().sentences()] == [
            s.tolist() for s in pool.sentences()
        ]


@pytest.mark.parametrize("size", [1, 2, 3, 16, 17, 1000])
def test_the_permutation_has_every_place_once_and_another_order_for_another_key(size: int) -> None:
    places = np.arange(size)
    found = [Permutation(size, key=[seed, 0])[places].tolist() for seed in range(3)]
    assert all(sorted(order) == places.tolist() for order in found)
    if size > 10:
        assert len(set(map(tuple, found))) == 3


def test_the_permutation_of_a_huge_corpus_is_computed_where_it_is_asked_for() -> None:
    size = 10**11 + 7
    permutation = Permutation(size, key=[1, 2])
    numbers = permutation[np.arange(size - 50_000, size)]
    assert len(set(numbers.tolist())) == 50_000 and numbers.min() >= 0 and numbers.max() < size
    places = np.histogram(numbers, bins=10, range=(0, size))[0]  # 5,000 in each, with a deviation of 67
    assert abs(places - 5000).max() < 5 * 67
    assert numbers[0] == permutation[np.array([size - 50_000])][0]


def test_the_permutation_of_few_is_any_of_all_orders() -> None:
    orders = Counter(tuple(Permutation(4, key=[seed])[np.arange(4)].tolist()) for seed in range(2400))
    assert len(orders) == 24
    assert max(orders.values()) < 200  # 100 expected


@pytest.mark.parametrize("name", ["stream", "sentences"])
def test_targets_are_vocabulary_ids_and_unknown_words_and_literal_markers_are_unk(name: str) -> None:
    corpus = TinyCorpus(["often rare <S> </S> <UNK> often"])
    vocabulary = Vocabulary(["<S>", "</S>", "<UNK>", "other", "often"])
    builder = BatchBuilder(types=corpus.types, target_ids=vocabulary.ids_of(corpus.types), words=reader(3))
    (batch,) = make_batching(name, num_steps=20, batch_size=1).evaluation_batches(corpus, builder)
    assert batch.targets_DN.tolist() == [[4, 2, 2, 2, 2, 4, 1], [4, 2, 2, 2, 2, 4, 0]]
    assert batch.targets_DN.dtype == batch.inputs_DN.dtype == batch.types_U.dtype == torch.int64
    words = [spelled(row) for row in batch.types_U.tolist()]
    forward, backward = ([words[i] for i in ids] for ids in batch.inputs_DN.tolist())
    assert forward == [BOS, "often", "rare", "<S>", "</S>", "<UNK>", "often"]
    assert backward == [EOS, "often", "<UNK>", "</S>", "<S>", "rare", "often"]


def test_a_batch_has_each_type_once_and_crops_its_characters() -> None:
    corpus = TinyCorpus(["aa b aa b", f"b {'z' * 30}"])
    builder = builder_of(corpus, widest_filter=5)
    batches = list(SentenceBatching(num_steps=5, batch_size=1).evaluation_batches(corpus, builder))
    # two words and both markers; as wide as the longest word of the batch asks for
    assert [batch.types_U.shape for batch in batches] == [(4, 2 + 2 + 5), (4, 30 + 2 + 5)]


def make_encoder() -> CharCnnLstm:
    encoder = CharCnnLstm(
        character_embedding_size=3,
        filters=[[1, 4], [3, 5]],
        num_highways=1,
        cell_size=6,
        projection_size=4,
        num_layers=2,
        dropout=0.0,
    )
    oracle.widen(encoder, std=0.5)
    return encoder.double()


def top_vectors(encoder: CharCnnLstm, batches: Iterable[Batch]) -> list[list[list[torch.Tensor]]]:
    """For each direction and row, the top vectors of all steps; rows of carried batches go on."""
    rows: list[list[list[torch.Tensor]]] = [[], []]
    state: State | None = None
    for batch in batches:
        assert batch.carried == (state is not None)
        layers, state = encoder.run_packed(
            batch.types_U, batch.inputs_DN, batch.batch_sizes, state if batch.carried else None
        )
        for direction, vectors in enumerate(layers[-1]):
            rows[direction] += [[] for _ in range(batch.batch_sizes[0] - len(rows[direction]))]
            for step in vectors.split(batch.batch_sizes):
                for row, vector in zip(rows[direction], step, strict=False):
                    row.append(vector)
    return rows


@pytest.mark.parametrize("num_steps", [1, 4, 7])
def test_rows_cut_into_batches_with_their_state_are_the_uncut_rows(num_steps: int) -> None:
    corpus, encoder = TinyCorpus(MANY), make_encoder()
    cut, uncut = (
        top_vectors(
            encoder,
            StreamBatching(num_steps=steps, batch_size=5).evaluation_batches(corpus, builder_of(corpus)),
        )
        for steps in (num_steps, 10_000)
    )
    for rows, uncut_rows in zip(cut, uncut, strict=True):
        assert len(rows) == len(uncut_rows) == 5
        for row, uncut_row in zip(rows, uncut_rows, strict=True):
            torch.testing.assert_close(torch.stack(row), torch.stack(uncut_row), rtol=0, atol=1e-12)


def test_no_direction_reads_the_word_that_it_predicts() -> None:
    encoder = make_encoder()

    def predicting_vectors(batching: SentenceBatching | StreamBatching, words: list[str]) -> torch.Tensor:
        """(2, 7, P): for each direction, the top vectors that predict the words and a marker."""
        corpus = TinyCorpus([" ".join(words)])
        forward, backward = top_vectors(encoder, batching.evaluation_batches(corpus, builder_of(corpus)))
        return torch.stack([torch.stack(forward[0]), torch.stack(backward[0])])

    words = ["a", "b", "c", "d", "e", "f"]
    for name, position in itertools.product(("sentences", "stream"), range(6)):
        batching = make_batching(name, num_steps=9, batch_size=1)
        others = [*words[:position], "other", *words[position + 1 :]]
        difference = predicting_vectors(batching, words) - predicting_vectors(batching, others)
        moved = difference.abs().amax(dim=2) > 1e-9
        for direction, predicts in enumerate([position, 5 - position]):
            assert moved[direction].tolist() == [step > predicts for step in range(7)]


def test_a_moved_batch_keeps_everything() -> None:
    corpus = TinyCorpus(FOUR)
    batches = make_batching("stream").training_batches(pools_of(corpus), builder_of(corpus))
    next(batches)
    batch = next(batches)
    moved = batch.to(torch.device("meta"))
    assert moved.types_U.is_meta and moved.inputs_DN.is_meta and moved.targets_DN.is_meta
    assert moved.targets_DN.shape == batch.targets_DN.shape
    assert moved.batch_sizes == batch.batch_sizes and moved.carried is True
    assert_same(batch.to(torch.device("cpu")), batch)


@pytest.mark.parametrize("name", ["stream", "sentences"])
def test_sizes_below_one_are_told(name: str) -> None:
    with pytest.raises(InputError, match=r"batching\.num_steps: expected at least 1, got 0"):
        make_batching(name, num_steps=0, batch_size=4)
    with pytest.raises(InputError, match=r"batching\.batch_size: expected at least 1, got 0"):
        make_batching(name, num_steps=4, batch_size=0)


@pytest.mark.parametrize("name", ["stream", "sentences"])
def test_both_batchings_have_the_same_budget(name: str) -> None:
    assert make_batching(name, num_steps=20, batch_size=128).tokens_per_batch == 2560
