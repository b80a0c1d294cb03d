"""A picture of how often each label was taken for each other one.

Shape legend: V labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from tasks.pictures import literal, picture

_LABELS_WITH_NUMBERS = 30  # a plot with more labels has only colours
_LARGEST_PICTURE = 40.0  # inches


def draw_confusion(path: Path, counts_VV: Tensor, labels: Sequence[str]) -> None:
    """Plot counts as a PNG: gold labels in rows, predicted ones in columns, coloured by share of the row."""
    size = min(2.5 + 0.45 * len(labels), _LARGEST_PICTURE)
    with picture(path, size=(size + 1, size), texts=labels) as figure:
        axes = figure.subplots()
        percent_VV = 100 * counts_VV / counts_VV.sum(dim=1, keepdim=True).clamp_min(1)
        image = axes.imshow(percent_VV.numpy(), cmap="Blues", vmin=0, vmax=100)
        figure.colorbar(image, ax=axes, label="percent of the gold label")
        axes.set_xticks(range(len(labels)), [literal(label) for label in labels], rotation=90)
        axes.set_yticks(range(len(labels)), [literal(label) for label in labels])
        axes.set(xlabel="predicted", ylabel="gold")
        if len(labels) <= _LABELS_WITH_NUMBERS:
            for row, column in torch.cartesian_prod(*[torch.arange(len(labels))] * 2).tolist():
                colour = "white" if percent_VV[row, column] > 50 else "black"
                text = str(int(counts_VV[row, column]))
                axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
