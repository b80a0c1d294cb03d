"""Bucketing by length and the packed axis, against layouts written by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elmo.bilm.packing import Packing, bucket_by_length

LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=12)


def test_steps_of_the_longest_rows_come_first_and_the_second_direction_reads_from_each_end() -> None:
    packing = Packing([2, 4, 1, 2])
    assert packing.batch_sizes == [4, 3, 1, 1]
    assert packing.order.tolist() == [1, 0, 3, 2] and packing.row_of.tolist() == [1, 0, 3, 2]
    flat_M = torch.tensor([20, 21, 10, 11, 12, 13, 40, 30, 31])
    packed_DN = packing.pack(flat_M)
    assert packed_DN.tolist() == [
        [10, 20, 30, 40, 11, 21, 31, 12, 13],
        [13, 21, 31, 40, 12, 20, 30, 11, 10],
    ]
    assert torch.equal(packing.unpack(packed_DN[..., None]), torch.stack([flat_M, flat_M], dim=1))
    assert packing.unpack(packed_DN[..., None], inner=True)[:, 0].tolist() == [11, 12]


@given(LENGTHS)
def test_what_is_packed_comes_back(lengths: list[int]) -> None:
    packing, flat_M = Packing(lengths), torch.arange(sum(lengths))
    assert packing.batch_sizes == [sum(n > step for n in lengths) for step in range(max(lengths))]
    assert torch.equal(packing.unpack(packing.pack(flat_M)[..., None])[:, 1], flat_M)


@given(LENGTHS, st.integers(1, 20))
def test_pieces_are_whole_steps_of_bounded_size(lengths: list[int], max_tokens: int) -> None:
    packing = Packing(lengths)
    pieces = list(packing.spans(max_tokens))
    assert [size for _, sizes in pieces for size in sizes] == packing.batch_sizes
    assert [span.stop - span.start for span, _ in pieces] == [sum(sizes) for _, sizes in pieces]
    assert all(sum(sizes) <= max_tokens or len(sizes) == 1 for _, sizes in pieces)
    assert list(packing.spans(None)) == [(slice(0, sum(lengths)), packing.batch_sizes)]


@given(LENGTHS, st.integers(1, 20))
def test_buckets_hold_every_sequence_once_the_longest_first_within_their_budget(
    lengths: list[int], max_tokens: int
) -> None:
    buckets = bucket_by_length(lengths, max_tokens)
    indices = [index for bucket in buckets for index in bucket]
    assert indices == sorted(range(len(lengths)), key=lambda index: -lengths[index])
    assert all(sum(lengths[i] for i in bucket) <= max_tokens or len(bucket) == 1 for bucket in buckets)


@pytest.mark.parametrize(("lengths", "buckets"), [([], []), ([3, 1, 2, 3], [[0], [3], [2, 1]])])
def test_a_bucket_is_closed_when_the_next_sequence_does_not_fit(
    lengths: list[int], buckets: list[list[int]]
) -> None:
    assert bucket_by_length(lengths, 4) == buckets
