"""What the mixes of a model have learned: the weight of each layer, and gamma.

Shape legend: L layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from elmo.bilm.mixes import ScalarMix
from tasks.pictures import picture
from tasks.supervised.mix_names import PREFIX, by_mix
from tasks.supervised.representation import Representation


def mix_figures(representation: Representation) -> dict[str, float]:
    """The weights of a model's scalar mixes after the softmax, and gamma, by metric name.

    The names are `mix/<part>/<place>/layer_<k>` and `.../gamma`; the place is input or output.
    """
    places = {"input": representation.input_mixes, "output": representation.output_mixes}
    figures: dict[str, float] = {}
    for place, mixes in places.items():
        for part, mix in mixes.items():
            if isinstance(mix, ScalarMix):
                weights_L = torch.softmax(mix.scalars.detach(), dim=0).tolist()
                name = f"{PREFIX}{part}/{place}"
                figures |= {f"{name}/layer_{layer}": weight for layer, weight in enumerate(weights_L)}
                figures[f"{name}/gamma"] = float(mix.gamma.detach())
    return figures


def mix_table(figures: Mapping[str, float]) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of a table, a row for each mix; empty if there is none."""
    mixes = by_mix(figures)
    columns = list(dict.fromkeys(key for values in mixes.values() for key in values))
    columns.sort(key=lambda key: (key == "gamma", len(key), key))
    rows = [[name, *(values.get(key) for key in columns)] for name, values in mixes.items()]
    return ["mix", *(key.replace("_", " ") for key in columns)], rows


def mix_lines(figures: Mapping[str, float]) -> list[str]:
    """A line for each mix: the weights of its layers from the lowest, and gamma."""
    lines = []
    for name, values in by_mix(figures).items():
        weights = " ".join(f"{value:.2f}" for key, value in values.items() if key != "gamma")
        lines.append(f"mix of {name}: {weights}, gamma {values['gamma']:.2f}")
    return lines


def draw_mixes(path: Path, figures: Mapping[str, float]) -> None:
    """Draw the weights of each mix as bars, with its gamma in the legend; nothing if there is none."""
    mixes = by_mix(figures)
    if not mixes:
        return
    with picture(path, size=(6, 4), texts=mixes) as figure:
        axes, width = figure.subplots(), 0.8 / len(mixes)
        for number, (name, values) in enumerate(mixes.items()):
            weights = [value for key, value in values.items() if key != "gamma"]
            left = [layer - 0.4 + width * (number + 0.5) for layer in range(len(weights))]
            axes.bar(left, weights, width, label=f"{name}, gamma {values['gamma']:.2f}")
        axes.set(xlabel="layer", ylabel="weight", xticks=range(max(map(len, mixes.values())) - 1))
        axes.legend()
