"""Which layers learn, when, and how fast, on a small encoder of linear layers.

Shape legend: L layers, S sentences, W words of the longest one, P size of a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from tasks.encoders.token_encoder import TokenEncoder
from tasks.supervised.fine_tuning import FineTuning


class Stack(TokenEncoder):
    """Three linear layers, one above the other, on the words' lengths."""

    num_layers, size, is_contextual = 3, 2, True

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
        self.unused = nn.Parameter(torch.ones(()))

    def layer_groups(self) -> list[list[str]]:
        return [[f"layers.{index}.weight", f"layers.{index}.bias"] for index in range(3)]

    def forward(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        vectors = torch.tensor([[[len(word), 1.0] for word in sentence] for sentence in sentences])
        outputs = []
        for layer in self.layers:
            vectors = layer(vectors)
            outputs.append(vectors)
        return torch.stack(outputs)


class Scale(TokenEncoder):
    """A word-like part with one parameter."""

    num_layers, size, is_contextual = 1, 2, False

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        return self.scale * torch.ones(1, len(sentences), max(map(len, sentences)), 2)


class Made(NamedTuple):
    tuning: FineTuning
    word: Scale
    elmo: Stack


def make(**changes: Any) -> Made:
    word, elmo = Scale(), Stack()
    arguments = {
        "trainable": True,
        "learning_rate_factor": 0.1,
        "layer_factor": 0.5,
        "unfreeze_every": 1.0,
    }
    return Made(FineTuning(parts={"word": word, "elmo": elmo}, **(arguments | changes)), word, elmo)


def learning(elmo: Stack) -> list[bool]:
    """Of each layer, from the lowest."""
    return [all(p.requires_grad for p in layer.parameters()) for layer in elmo.layers]


def test_contextual_parts_are_frozen_unless_they_are_to_learn() -> None:
    tuning, word, elmo = make(trainable=False)
    tuning.set_epoch(5)
    assert not any(parameter.requires_grad for parameter in elmo.parameters())
    assert word.scale.requires_grad
    assert tuning.rate_factors() == {}


def test_all_that_ever_learns_is_there_for_the_optimizer() -> None:
    elmo = make().elmo
    assert learning(elmo) == [True, True, True]
    assert not elmo.unused.requires_grad


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [
        (0.0, [False, False, True]),
        (1.4, [False, False, True]),
        (1.5, [False, True, True]),
        (3.0, [True, True, True]),
        (9.0, [True, True, True]),
    ],
)
def test_layers_begin_to_learn_from_the_top_down(epoch: float, expected: list[bool]) -> None:
    tuning, _, elmo = make(unfreeze_every=1.5)
    tuning.set_epoch(epoch)
    assert learning(elmo) == expected


def test_an_earlier_epoch_freezes_again() -> None:
    tuning, _, elmo = make()
    tuning.set_epoch(7)
    tuning.set_epoch(0)
    assert learning(elmo) == [False, False, True]


def test_all_layers_learn_at_once_without_a_period() -> None:
    tuning, _, elmo = make(unfreeze_every=None)
    tuning.set_epoch(0)
    assert learning(elmo) == [True, True, True]


def test_each_lower_layer_learns_slower() -> None:
    factors = make().tuning.rate_factors("representation.parts.")
    expected = {
        f"representation.parts.elmo.layers.{index}.{name}": factor
        for index, factor in enumerate((0.025, 0.05, 0.1))
        for name in ("weight", "bias")
    }
    assert factors == pytest.approx(expected)


def test_an_optimizer_made_once_moves_only_the_layers_whose_turn_has_come() -> None:
    tuning, _, elmo = make()
    trained = [parameter for parameter in elmo.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.1, weight_decay=0.1)
    moved = []
    for epoch in range(3):
        before = [layer.state_dict()["weight"].clone() for layer in elmo.layers]
        tuning.set_epoch(epoch)
        elmo.forward([["a", "bc"]])[-1].square().sum().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        after = [layer.state_dict()["weight"] for layer in elmo.layers]
        moved.append([not torch.equal(*pair) for pair in zip(before, after, strict=True)])
    assert moved == [[False, False, True], [False, True, True], [True, True, True]]
