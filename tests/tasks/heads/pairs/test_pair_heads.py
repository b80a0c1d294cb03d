"""Heads for pairs against slow loops; what all promise: padding and the other pairs change nothing.

Shape legend: B pairs, T words of the longest side, P and E sizes of the vectors.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from elmo.errors import InputError
from elmo.registry import REGISTRY
from tasks.heads.pairs.esim import Esim, soft_attention
from tasks.heads.pairs.pair_head import PairHead
from tasks.heads.pairs.siamese import SiameseHead
from tasks.heads.span_head import Words

P, E = 5, 3
LENGTHS = [(4, 2), (1, 7), (3, 3), (6, 1)]
HEADS: list[dict[str, Any]] = [
    {"type": "esim", "hidden_size": 4, "dropout": 0.3},
    {"type": "siamese", "hidden_size": 4, "pooling": ["max", "mean"], "linear_size": 6},
    {"type": "siamese", "hidden_size": None, "pooling": ["mean", "attention"], "linear_size": 6},
    {"type": "siamese", "hidden_size": 4, "pooling": ["max"], "linear_size": 6, "symmetric": True},
]
every_head = pytest.mark.parametrize("node", HEADS, ids=lambda node: f"{node['type']}-{len(node)}")


def build(node: dict[str, Any]) -> PairHead:
    torch.manual_seed(0)
    injected_size = 0 if node.get("hidden_size") is None else E
    head = REGISTRY.build("head", node, input_size=P, injected_size=injected_size)
    assert isinstance(head, PairHead)
    return head.double().eval()


def side(lengths: list[int], seed: int, *, num_padding: int = 0, has_injected: bool = True) -> Words:
    """Random words that depend on their number and the seed alone; zero in the padding."""
    T = max(lengths) + num_padding
    both = torch.zeros(len(lengths), T, P + E, dtype=torch.float64)
    for row, length in enumerate(lengths):
        generator = torch.Generator().manual_seed(100 * seed + length)
        both[row, :length] = torch.randn(length, P + E, generator=generator, dtype=torch.float64)
    mask = torch.arange(T) < torch.tensor(lengths)[:, None]
    return Words(both[..., :P], mask, both[..., P:] if has_injected else None)


def run(head: PairHead, lengths: list[tuple[int, int]], *, num_padding: tuple[int, int] = (0, 0)) -> Tensor:
    injected = not (isinstance(head, SiameseHead) and head.recurrent is None)
    sides = [
        side([pair[i] for pair in lengths], i, num_padding=num_padding[i], has_injected=injected)
        for i in (0, 1)
    ]
    return head(*sides)


@every_head
def test_neither_padding_nor_the_rest_of_the_batch_changes_a_pair(node: dict[str, Any]) -> None:
    head = build(node)
    together = run(head, LENGTHS)
    assert together.shape == (len(LENGTHS), head.output_size)
    padded = run(head, LENGTHS[::-1], num_padding=(5, 2))
    torch.testing.assert_close(padded, together.flip(0), rtol=0, atol=1e-12)
    for row, lengths in enumerate(LENGTHS):
        torch.testing.assert_close(run(head, [lengths])[0], together[row], rtol=0, atol=1e-12)


@every_head
def test_a_gradient_reaches_every_parameter_of_a_pair_head(node: dict[str, Any]) -> None:
    head = build(node).train()
    run(head, LENGTHS).square().sum().backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name


@every_head
def test_a_pair_head_trains_in_half_precision(node: dict[str, Any]) -> None:
    head = build(node)
    expected = run(head, LENGTHS).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        float_sides = [
            Words(*(t.float() if t is not None and t.is_floating_point() else t for t in words))
            for words in (side([pair[i] for pair in LENGTHS], i) for i in (0, 1))
        ]
        if isinstance(head, SiameseHead) and head.recurrent is None:
            float_sides = [words._replace(injected=None) for words in float_sides]
        actual = head.float()(*float_sides).float()
    torch.testing.assert_close(actual, expected, rtol=0.05, atol=0.05)


def test_attention_is_that_of_a_slow_loop_over_words() -> None:
    first, second = side([4, 1, 3], 0, num_padding=1), side([5, 3, 2], 1)
    context, mask = torch.cat([first.vectors, second.vectors]), torch.cat([first.mask, second.mask])
    to_second, to_first = soft_attention(context, mask)
    for a, b, found in ((first, second, to_second), (second, first, to_first)):
        for row in range(3):
            words_b = b.vectors[row][b.mask[row]]
            for place, word in enumerate(a.vectors[row][a.mask[row]]):
                weights = [math.exp(float(word @ other)) for other in words_b]
                mean = sum(w * other for w, other in zip(weights, words_b, strict=True)) / sum(weights)
                torch.testing.assert_close(found[row, place], mean)


def test_esim_is_the_papers_equations_for_a_single_pair() -> None:
    head = build(HEADS[0])
    assert isinstance(head, Esim)
    a, b = side([3], 0), side([2], 1)
    context = [
        torch.cat([head.context(words.vectors, words.mask), words.injected], dim=2)[0]  # type: ignore[list-item]
        for words in (a, b)
    ]
    scores = context[0] @ context[1].T
    beside = [scores.softmax(dim=1) @ context[1], scores.softmax(dim=0).T @ context[0]]
    pooled = []
    for own, other, words in zip(context, beside, (a, b), strict=True):
        enhanced = torch.cat([own, other, own - other, own * other], dim=1)
        composed = head.composition(torch.relu(head.projection(enhanced))[None], words.mask)[0]
        pooled += [composed.mean(dim=0), composed.amax(dim=0)]
    expected = torch.tanh(head.matched(torch.cat(pooled)))
    torch.testing.assert_close(head(a, b)[0], expected)


def test_a_symmetric_siamese_head_does_not_see_which_side_is_first() -> None:
    a, b = side([4, 2], 0), side([1, 3], 1)
    symmetric, ordered = build(HEADS[3]), build(HEADS[1])
    torch.testing.assert_close(symmetric(a, b), symmetric(b, a), rtol=0, atol=1e-12)
    assert not torch.allclose(ordered(a, b), ordered(b, a))


def test_a_siamese_head_compares_pooled_words_as_worked_by_hand() -> None:
    head = SiameseHead(
        input_size=1, injected_size=0, hidden_size=None, pooling=["mean"], linear_size=4, dropout=0.0
    )
    with torch.no_grad():
        head.matched.weight.copy_(torch.eye(4))
        head.matched.bias.zero_()
    first = Words(torch.tensor([[[1.0], [3.0]]]), torch.tensor([[True, True]]), None)
    second = Words(torch.tensor([[[5.0], [0.0]]]), torch.tensor([[True, False]]), None)
    assert head(first, second).tolist() == [[2.0, 5.0, 3.0, 10.0]]  # u, v, |u - v|, u v


def test_vectors_cannot_be_injected_after_a_recurrent_layer_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"head\.hidden_size: null .* task\.injection=input"):
        SiameseHead(input_size=P, injected_size=E, hidden_size=None)
