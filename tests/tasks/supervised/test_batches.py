"""Batches of examples: every example once, similar lengths, the same from any position on."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from elmo.errors import InputError
from tasks.supervised.batches import ExampleBatches, evaluation_order

LENGTHS = np.random.default_rng(0).integers(1, 60, size=1003).tolist()


def make(
    lengths: Sequence[int] = LENGTHS, *, batch_size: int = 4, seed: int = 0
) -> ExampleBatches[list[int]]:
    return ExampleBatches(lengths=lengths, batch_size=batch_size, seed=seed, make=list)


def take(batches: ExampleBatches[list[int]], number: int) -> list[list[int]]:
    return list(itertools.islice(batches, number))


def test_every_epoch_has_every_example_once_in_another_order() -> None:
    batches = make()
    epochs = [take(batches, 251), take(batches, 251)]
    for epoch in epochs:
        assert sorted(itertools.chain.from_iterable(epoch)) == list(range(1003))
        assert sorted(map(len, epoch)) == [3] + [4] * 250
    assert epochs[0] != epochs[1]


def test_a_batch_has_examples_of_similar_length_in_no_order_of_length() -> None:
    epoch = take(make(), 251)
    spreads = [np.ptp([LENGTHS[index] for index in batch]) for batch in epoch]
    assert np.mean(spreads) < 2  # 36 in random batches of four
    means = [np.mean([LENGTHS[index] for index in batch]) for batch in epoch]
    assert abs(np.corrcoef(means, np.arange(251))[0, 1]) < 0.2


def test_the_order_follows_from_the_seed() -> None:
    assert take(make(seed=1), 300) == take(make(seed=1), 300) != take(make(seed=2), 300)


@pytest.mark.parametrize("taken", [0, 1, 250, 251, 252, 400])
def test_training_goes_on_exactly_where_it_was(taken: int) -> None:
    batches = make()
    take(batches, taken)
    state = batches.state_dict()
    resumed = make()
    take(resumed, 7)
    resumed.load_state_dict(state)
    assert all(type(value) is int for value in state.values())
    assert take(resumed, 260) == take(batches, 260)


def test_epochs_are_counted() -> None:
    batches = make(range(1, 9), batch_size=2)
    read = []
    for _ in range(5):
        next(batches)
        read.append((batches.epoch, batches.epochs_read))
    assert read == [(0, 0.25), (0, 0.5), (0, 0.75), (1, 1.0), (1, 1.25)]


def test_a_batch_may_be_larger_than_the_data() -> None:
    assert [sorted(batch) for batch in take(make([3, 1], batch_size=8), 2)] == [[0, 1], [0, 1]]


def test_evaluation_begins_with_the_longest() -> None:
    assert evaluation_order([2, 9, 4, 9, 1], 2) == [[1, 3], [2, 0], [4]]
    assert evaluation_order([], 2) == []


def test_a_batch_has_an_example_at_least() -> None:
    with pytest.raises(InputError, match=r"trainer.batch_size: expected at least 1, got 0"):
        make(batch_size=0)
    with pytest.raises(InputError, match=r"trainer.batch_size: expected at least 1, got 0"):
        evaluation_order([1], 0)
