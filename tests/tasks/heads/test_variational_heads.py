"""Dropout in recurrences (Gal and Ghahramani 2016): one mask for all words of a text, and only in training.

Shape legend: D = 2 directions, B texts, T words, P size of a vector, H hidden size of one direction.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from elmo.registry import REGISTRY
from tasks.heads.recurrent import Cell, RecurrentLayer, masked_recurrence
from tasks.heads.span_head import SpanHead, Words

B, T, P, H = 3, 6, 4, 5
RATE = 0.4
HEADS: list[dict[str, Any]] = [
    {"type": "bilstm", "hidden_size": H, "num_layers": 2},
    {"type": "bcn", "hidden_size": H, "output_sizes": [6]},
    {"type": "span", "cell": "lstm", "hidden_size": H, "num_layers": 2, "alignment_size": 3},
    {"type": "bidaf_self_attention", "cell": "gru", "hidden_size": H, "linear_size": 4},
]
every_cell = pytest.mark.parametrize("cell", ["lstm", "gru"])
every_head = pytest.mark.parametrize("node", HEADS, ids=lambda node: node["type"])


def layer_of(cell: Cell, *, rate: float = RATE) -> RecurrentLayer:
    torch.manual_seed(0)
    return RecurrentLayer(cell=cell, input_size=P, hidden_size=H, recurrent_dropout=rate).double()


def vectors_of(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@every_cell
def test_a_mask_on_the_state_is_a_mask_on_the_recurrent_weights_of_one_text(cell: Cell) -> None:
    both = [layer_of(cell).onward, layer_of(cell).backward_]
    vectors_DBTP, mask_DBH = vectors_of(2, B, T, P), torch.rand(2, B, H, dtype=torch.float64)
    found_DBTH = masked_recurrence(both, vectors_DBTP, mask_DBH)
    for direction, layer in enumerate(both):
        weights = layer.weight_hh_l0.detach().clone()
        for text in range(B):
            with torch.no_grad():
                layer.weight_hh_l0.copy_(weights * mask_DBH[direction, text])  # the same for all its words
                expected_TH, _ = layer(vectors_DBTP[direction, text])
            torch.testing.assert_close(found_DBTH[direction, text], expected_TH)
        with torch.no_grad():
            layer.weight_hh_l0.copy_(weights)


@every_cell
def test_without_a_mask_outputs_and_gradients_are_those_of_pytorchs_layer(cell: Cell) -> None:
    vectors = vectors_of(B, T, P)
    mask = torch.arange(T) < torch.tensor([6, 1, 4])[:, None]
    found = []
    for rate in (0.0, 1e-12):  # so small a rate drops nothing
        layer = layer_of(cell, rate=rate)
        output = layer(vectors, mask)
        output.square().sum().backward()
        found.append([output, *(parameter.grad for parameter in layer.parameters())])
    for expected, actual in zip(*found, strict=True):
        torch.testing.assert_close(actual, expected)


@every_cell
def test_each_text_has_a_mask_of_its_own_which_keeps_the_expectation_and_is_for_training_only(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Tensor] = []

    def remembered(layers: list[nn.RNNBase], vectors: Tensor, mask_DBH: Tensor) -> Tensor:
        drawn.append(mask_DBH)
        return masked_recurrence(layers, vectors, mask_DBH)

    monkeypatch.setattr("tasks.heads.recurrent.masked_recurrence", remembered)
    layer, num_texts = layer_of(cell), 2000
    same, mask = vectors_of(1, T, P).expand(num_texts, T, P), torch.ones(num_texts, T, dtype=torch.bool)
    with torch.no_grad():
        outputs = layer(same, mask)
        (mask_DBH,) = drawn
        assert mask_DBH.shape == (2, num_texts, H)
        assert set(mask_DBH.unique().tolist()) == {0.0, 1 / (1 - RATE)}
        assert mask_DBH.mean().item() == pytest.approx(1.0, abs=0.02)
        assert len(mask_DBH[0].unique(dim=0)) == 2**H  # and not one mask for the whole batch
        last = outputs[:, -1, :H]  # which has read all words
        assert len(last.round(decimals=9).unique(dim=0)) == 2**H
        quiet = layer.eval()(same[:2], mask[:2])
        torch.testing.assert_close(quiet, layer_of(cell, rate=0.0)(same[:2], mask[:2]))
    assert len(drawn) == 1


def read(node: dict[str, Any], *, dropout: float, training: bool, seed: int = 0) -> list[Tensor]:
    torch.manual_seed(0)
    given = {**node, "dropout": dropout, "variational": True}
    head = REGISTRY.build("head", given, input_size=P, injected_size=0).double().train(training)
    words = Words(vectors_of(B, T, P), torch.ones(B, T, dtype=torch.bool), None)
    torch.manual_seed(seed)
    if isinstance(head, SpanHead):
        return list(head(words, words))
    return [head(*words)]


@every_head
def test_a_variational_head_is_the_same_without_dropout_and_differs_by_the_draw_with_it(
    node: dict[str, Any],
) -> None:
    plain = read(node, dropout=0.0, training=True)
    torch.testing.assert_close(read(node, dropout=0.5, training=False), plain)
    one, again, other = (read(node, dropout=0.5, training=True, seed=seed) for seed in (1, 1, 2))
    torch.testing.assert_close(one, again, rtol=0, atol=0)
    assert not torch.allclose(one[0], other[0])


def test_a_variational_layer_trains_in_half_precision() -> None:
    layer = layer_of("lstm").float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = layer(vectors_of(B, T, P).float(), torch.ones(B, T, dtype=torch.bool))
    output.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in layer.parameters())
