"""What a mix has learned, as figures, lines, a table and a picture."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from elmo.bilm.mixes import AverageMix, Mix, ScalarMix
from tasks.supervised.mix_report import draw_mixes, mix_figures, mix_lines, mix_table
from tasks.supervised.representation import Representation


def representation(mixes: dict[str, Mix]) -> Representation:
    found = Representation.__new__(Representation)
    nn.Module.__init__(found)
    found.input_mixes, found.output_mixes = nn.ModuleDict(mixes), nn.ModuleDict({})
    return found


def scalar(weights: list[float], gamma: float) -> ScalarMix:
    mix = ScalarMix(num_layers=len(weights), initial_weights=torch.tensor(weights).log().tolist())
    with torch.no_grad():
        mix.gamma.fill_(gamma)
    return mix


def test_the_weights_are_those_after_the_softmax(tmp_path: Path) -> None:
    figures = mix_figures(representation({"elmo": scalar([0.5, 0.3, 0.2], 1.25)}))
    assert figures == {
        "mix/elmo/input/layer_0": pytest.approx(0.5),
        "mix/elmo/input/layer_1": pytest.approx(0.3),
        "mix/elmo/input/layer_2": pytest.approx(0.2),
        "mix/elmo/input/gamma": 1.25,
    }
    assert mix_lines(figures) == ["mix of elmo at the input: 0.50 0.30 0.20, gamma 1.25"]
    columns, ((name, *values),) = mix_table(figures)
    assert columns == ["mix", "layer 0", "layer 1", "layer 2", "gamma"]
    assert (name, values) == ("elmo at the input", pytest.approx([0.5, 0.3, 0.2, 1.25]))
    draw_mixes(tmp_path / "plots" / "mix.png", figures)
    assert (tmp_path / "plots" / "mix.png").read_bytes().startswith(b"\x89PNG")


def test_mixes_of_several_numbers_of_layers_share_a_table() -> None:
    figures = mix_figures(representation({"a": scalar([0.5, 0.5], 1.0), "b": scalar([0.2, 0.2, 0.6], 2.0)}))
    columns, rows = mix_table(figures)
    assert columns == ["mix", "layer 0", "layer 1", "layer 2", "gamma"]
    assert [row[3] for row in rows] == [None, pytest.approx(0.6)]


def test_a_mix_that_learns_nothing_has_no_figures_and_no_picture(tmp_path: Path) -> None:
    figures = mix_figures(representation({"elmo": AverageMix(num_layers=3)}))
    assert figures == {}
    draw_mixes(tmp_path / "mix.png", figures)
    assert list(tmp_path.iterdir()) == []
