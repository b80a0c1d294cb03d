"""Heads for texts against oracles of their own; what all promise: padding and order change nothing.

Shape legend: B windows, T words of the longest one, P and E sizes of the vectors.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from elmo.errors import InputError
from elmo.registry import REGISTRY
from tasks.heads.bcn import BcnHead, Maxout
from tasks.heads.bilstm import BiLstmHead
from tasks.heads.cnn import CnnHead
from tasks.heads.pooled import PooledHead
from tasks.heads.pooling import Pooling, WindowAttention
from tasks.heads.recurrent import RecurrentLayer
from tasks.heads.text_head import TextHead

P, E = 5, 3
LENGTHS = [4, 1, 7, 2]
ALL = ["attention", "max", "mean", "min"]
HEADS: list[dict[str, Any]] = [
    {"type": "pooled", "pooling": ALL, "hidden_size": None},
    {"type": "pooled", "pooling": ["max"], "layer_normed": True, "hidden_size": 6},
    {"type": "bilstm", "hidden_size": 4, "num_layers": 2, "dropout": 0.0, "pooling": ALL},
    {"type": "cnn", "num_words": 24, "num_filters": 4, "width": 3, "hidden_size": 16},
    {"type": "bcn", "hidden_size": 4, "output_sizes": [12, 6], "maxout_pieces": None, "dropout": 0.0},
    {"type": "bcn", "hidden_size": 4, "output_sizes": [6], "maxout_pieces": 2, "dropout": 0.0},
]
every_head = pytest.mark.parametrize("node", HEADS, ids=lambda node: node["type"])


def build(node: dict[str, Any]) -> TextHead:
    torch.manual_seed(0)
    injected_size = E if node["type"] in ("bilstm", "bcn") else 0
    head = REGISTRY.build("head", node, input_size=P, injected_size=injected_size)
    assert isinstance(head, TextHead)
    return head.double()


def inputs(
    head: TextHead, lengths: list[int], *, num_padding: int = 0
) -> tuple[Tensor, Tensor, Tensor | None]:
    """What a head reads of random windows that depend on their lengths alone, in the head's precision."""
    num_words = max(lengths) + num_padding
    both = torch.zeros(len(lengths), num_words, P + E, dtype=next(head.parameters()).dtype)
    for row, length in enumerate(lengths):
        generator = torch.Generator().manual_seed(length)
        both[row, :length] = torch.randn(length, P + E, generator=generator, dtype=torch.float64)
    mask = torch.arange(num_words) < torch.tensor(lengths)[:, None]
    return both[..., :P], mask, both[..., P:] if isinstance(head, (BiLstmHead, BcnHead)) else None


@every_head
def test_neither_padding_nor_the_rest_of_the_batch_changes_a_window(node: dict[str, Any]) -> None:
    head = build(node)
    together = head(*inputs(head, LENGTHS))
    assert together.shape == (len(LENGTHS), head.output_size)
    order = [2, 0, 3, 1]
    shuffled = head(*inputs(head, [LENGTHS[i] for i in order], num_padding=9))
    torch.testing.assert_close(shuffled, together[order], rtol=0, atol=1e-12)
    for row, length in enumerate(LENGTHS):
        alone = head(*inputs(head, [length]))[0]
        torch.testing.assert_close(alone, together[row], rtol=0, atol=1e-12)


@every_head
def test_single_precision_keeps_to_a_millionth(node: dict[str, Any]) -> None:
    head = build(node)
    expected = head(*inputs(head, LENGTHS)).float()
    actual = head.float()(*inputs(head, LENGTHS, num_padding=5))
    torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-6)


@every_head
def test_a_gradient_reaches_every_parameter_and_every_word(node: dict[str, Any]) -> None:
    head = build(node)
    vectors, mask, injected = inputs(head, LENGTHS)
    read = [vectors] if injected is None else [vectors, injected]
    for tensor in read:
        tensor.requires_grad_()
    head(vectors, mask, injected).square().sum().backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name
    only_maxima = node["type"] == "cnn" or node.get("pooling") == ["max"]  # which pass some words over
    for tensor in read:
        assert tensor.grad is not None
        reached = tensor.grad.any(dim=-1)
        assert reached[mask].any() if only_maxima else torch.equal(reached, mask)


@every_head
def test_a_head_trains_in_half_precision(node: dict[str, Any]) -> None:
    head = build(node)
    expected = head(*inputs(head, LENGTHS)).float()
    head.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = head(*inputs(head, LENGTHS)).float()
    torch.testing.assert_close(actual, expected, rtol=0.05, atol=0.05)
    actual.square().sum().backward()
    assert all(parameter.grad is not None for parameter in head.parameters())


@every_head
def test_a_head_builds_without_memory(node: dict[str, Any]) -> None:
    with torch.device("meta"):
        head = REGISTRY.build("head", node, input_size=1024, injected_size=0)
    assert all(parameter.is_meta for parameter in head.parameters())


def test_poolings_are_those_worked_by_hand() -> None:
    pooling = Pooling(names=["max", "mean", "min", "attention"], size=2)
    assert pooling.attention is not None
    pooling.attention.score.weight.data = torch.tensor([[0.0, math.log(3.0)]])
    vectors = torch.tensor([[[1.0, 0.0], [5.0, 1.0], [99.0, -99.0]], [[-2.0, -3.0], [7.0, 7.0], [8.0, 8.0]]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    expected = [[5.0, 1.0, 3.0, 0.5, 1.0, 0.0, 4.0, 0.75], [-2.0, -3.0] * 4]  # attention: 1/4 and 3/4
    torch.testing.assert_close(pooling(vectors, mask), torch.tensor(expected))


def test_injected_vectors_join_the_recurrent_output() -> None:
    torch.manual_seed(0)
    head = BiLstmHead(input_size=P, injected_size=E, hidden_size=4, pooling=["mean"]).double()
    vectors, mask, injected = inputs(head, [3])
    assert injected is not None
    pooled = head(vectors, mask, injected)[0]
    torch.testing.assert_close(pooled[:8], head.layers[0](vectors, mask)[0].mean(dim=0))
    torch.testing.assert_close(pooled[8:], injected[0].mean(dim=0))


def test_dropout_is_between_lstm_layers_while_training() -> None:
    one, two = (
        BiLstmHead(input_size=P, injected_size=E, hidden_size=4, num_layers=number, dropout=0.5)
        for number in (1, 2)
    )
    read = inputs(one, LENGTHS)
    assert torch.equal(one(*read), one(*read))
    assert not torch.equal(two(*read), two(*read))
    assert torch.equal(two.eval()(*read), two(*read))


def cnn_oracle(head: CnnHead, words: np.ndarray) -> np.ndarray:
    """The whole stack on a window filled up with zeros, each convolution a product for each position."""
    values = {name: value.detach().numpy() for name, value in head.named_parameters()}
    features = np.zeros((head.num_words, P))
    features[: len(words)] = words
    for name in ("convolutions.0", "convolutions.2"):
        weight_CPW, bias_C = values[f"{name}.weight"], values[f"{name}.bias"]
        seen_XPW = np.lib.stride_tricks.sliding_window_view(features, weight_CPW.shape[2], axis=0)
        features = np.maximum(0, np.einsum("cpw,xpw->xc", weight_CPW, seen_XPW) + bias_C)
    pairs_XC = np.maximum(features[0:-1:2], features[1::2])
    return np.maximum(0, values["hidden.weight"] @ pairs_XC.T.flatten() + values["hidden.bias"])


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("num_words", [7, 8, 13, 14, 15, 30])
def test_the_cnn_is_the_oracles(num_words: int, width: int) -> None:
    head = CnnHead(
        input_size=P, injected_size=0, num_words=num_words, num_filters=4, width=width, hidden_size=6
    ).double()
    vectors, mask, _ = inputs(head, LENGTHS, num_padding=2)
    with torch.no_grad():
        actual = head(vectors, mask, None).numpy()
    expected = [cnn_oracle(head, vectors[row, :length].numpy()) for row, length in enumerate(LENGTHS)]
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-12)


def test_the_cnn_cuts_no_word_off() -> None:
    head = CnnHead(input_size=P, injected_size=0, num_words=6)
    assert head.max_words == 6 and BcnHead.max_words is None
    with pytest.raises(InputError) as error:
        head(*inputs(head, [2, 7]))
    assert str(error.value) == "head.num_words: expected windows of at most 6 words, got 7"


@pytest.mark.parametrize("num_pieces", [None, 3])
def test_the_bcn_is_the_oracles(num_pieces: int | None) -> None:
    torch.manual_seed(0)
    head = BcnHead(
        input_size=P, injected_size=E, hidden_size=4, output_sizes=[7, 6], maxout_pieces=num_pieces
    )
    head.double().eval()
    vectors, mask, injected = inputs(head, [5])
    assert injected is not None
    expected = bcn_oracle(head, vectors[0].numpy(), injected[0].numpy())
    actual = head(vectors, mask, injected)[0].detach().numpy()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-12)


def bcn_oracle(head: BcnHead, words: np.ndarray, injected: np.ndarray) -> np.ndarray:
    """The equations for one text, with numpy around the LSTMs."""

    def read(layer: RecurrentLayer, inputs: np.ndarray) -> np.ndarray:
        return layer(torch.from_numpy(inputs)[None], torch.ones(1, len(inputs)).bool())[0].detach().numpy()

    def linear(layer: nn.Module, inputs: np.ndarray) -> np.ndarray:
        weight, bias = (parameter.detach().numpy() for parameter in layer.parameters())
        return inputs @ weight.T + bias

    x = read(head.encoder, np.maximum(0, linear(head.feed_forward[1], words)))
    affinity = np.exp(x @ x.T)
    context = affinity / affinity.sum(axis=1, keepdims=True) @ x
    read_again = read(head.integrator, np.concatenate([x, x - context, x * context], axis=1))
    integrated = np.concatenate([read_again, injected], axis=1)
    assert head.pooling.attention is not None
    weights = np.exp(integrated @ head.pooling.attention.score.weight.detach().numpy()[0])
    attended = weights / weights.sum() @ integrated
    result = np.concatenate([integrated.max(0), integrated.mean(0), integrated.min(0), attended])
    for layer in head.output:
        if isinstance(layer, nn.LayerNorm):
            result = (result - result.mean()) / np.sqrt(result.var() + 1e-5)
        elif isinstance(layer, Maxout):
            result = linear(layer.linear, result).reshape(-1, layer.num_pieces).max(axis=1)
        elif isinstance(layer, nn.Linear):
            result = np.maximum(0, linear(layer, result))
    return result


def test_a_texts_windows_are_weighed_by_hand() -> None:
    attention = WindowAttention(size=2)
    windows = torch.tensor([[1.0, 0.0], [4.0, 4.0], [3.0, 1.0]])
    text_of_window = torch.tensor([1, 0, 1])
    expected = torch.tensor([[4.0, 4.0], [2.0, 0.5]])
    assert torch.equal(attention(windows, text_of_window, 2), expected)  # a query of zeros: the mean
    attention.query.data = torch.tensor([0.0, math.log(3.0)])
    torch.testing.assert_close(attention(windows, text_of_window, 2), torch.tensor([[4.0, 4.0], [2.5, 0.75]]))


def test_texts_of_one_window_stay_as_they_are() -> None:
    attention = WindowAttention(size=P)
    nn.init.normal_(attention.query)
    windows = torch.randn(4, P)
    assert torch.equal(attention(windows, torch.arange(4), 4), windows)
    assert torch.equal(attention(windows.bfloat16(), torch.arange(4), 4), windows.bfloat16())


@pytest.mark.parametrize(
    ("node", "injected_size", "message"),
    [
        ({"type": "pooled", "pooling": []}, 0, "head.pooling: expected attention, max, mean, min or several"),
        ({"type": "pooled", "pooling": ["max", "max"]}, 0, "each once, got ['max', 'max']"),
        ({"type": "pooled", "pooling": ["sum"]}, 0, "pooling[0]: unknown choice 'sum'"),
        ({"type": "pooled", "hidden_size": 0}, 0, "head.hidden_size: expected at least 1 or null, got 0"),
        ({"type": "pooled"}, E, "head.type: pooled has no recurrent layer"),
        ({"type": "bilstm", "dropout": 1.0}, 0, "head.dropout: expected at least 0 and less than 1, got 1.0"),
        ({"type": "bilstm", "dropout": float("nan")}, 0, "head.dropout: expected at least 0"),
        (
            {"type": "bilstm", "num_layers": 0},
            0,
            "head.num_layers: expected at least 1 and at most 100, got 0",
        ),
        ({"type": "bilstm", "hidden_size": -1}, 0, "head.hidden_size: expected at least 1, got -1"),
        ({"type": "cnn", "num_words": 5}, 0, "head.num_words: expected at least 6, twice head.width, got 5"),
        (
            {"type": "cnn", "num_words": 9, "num_filters": 0},
            0,
            "head.num_filters: expected at least 1, got 0",
        ),
        ({"type": "cnn", "num_words": 9, "width": 0}, 0, "head.width: expected at least 1, got 0"),
        ({"type": "cnn", "num_words": 9}, E, "head.type: cnn has no recurrent layer"),
        ({"type": "bcn", "dropout": -0.1}, 0, "head.dropout: expected at least 0"),
        ({"type": "bcn", "output_sizes": []}, 0, "head.output_sizes: expected a list of 1 to 100 items"),
        ({"type": "bcn", "output_sizes": [8, 0]}, 0, "head.output_sizes[1]: expected at least 1, got 0"),
        ({"type": "bcn", "maxout_pieces": 1}, 0, "head.maxout_pieces: expected at least 2 or null, got 1"),
    ],
)
def test_a_head_that_cannot_be_is_refused(node: dict[str, Any], injected_size: int, message: str) -> None:
    with pytest.raises(InputError) as error:
        REGISTRY.build("head", node, input_size=P, injected_size=injected_size)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_pooled_head_may_have_a_layer() -> None:
    head = PooledHead(input_size=2, injected_size=0, pooling=["mean"], hidden_size=1)
    linear = head.hidden[0]  # type: ignore[index]
    linear.weight.data, linear.bias.data = torch.tensor([[1.0, -1.0]]), torch.tensor([0.5])
    vectors = torch.tensor([[[4.0, 1.0], [2.0, 3.0]], [[0.0, 5.0], [0.0, 0.0]]])
    mask = torch.tensor([[True, True], [True, False]])
    assert head(vectors, mask, None).tolist() == [[1.5], [0.0]]  # 3 - 2 + 0.5, and 0 - 5 + 0.5 below zero


def test_a_pooled_head_may_normalise_what_it_pools() -> None:
    head = PooledHead(input_size=3, injected_size=0, pooling=["mean"], layer_normed=True)
    vectors = torch.tensor([[[4.0, 1.0, 0.0], [2.0, 3.0, 2.0]]])
    expected = np.array([3.0, 2.0, 1.0]) - 2
    for scale in (0.1, 100.0):
        found = head(scale * vectors, torch.ones(1, 2, dtype=torch.bool), None)[0].tolist()
        assert found == pytest.approx((expected / expected.std()).tolist(), rel=1e-3, abs=1e-6)
