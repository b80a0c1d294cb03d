"""The plain mean of all layers: a scalar mix that learns nothing (Peters et al. 2018, section 5.1)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from elmo.bilm.mixes.mix import Mix
from elmo.registry import REGISTRY


@REGISTRY.register("mix", "average")
class AverageMix(Mix):
    """The mean of all layers.

    Args:
        num_layers: layers that are given.
        dropout: on the result, while training.
    """

    def __init__(self, *, num_layers: int, dropout: float = 0.5) -> None:
        super().__init__(num_layers=num_layers, dropout=dropout)

    def mix(self, layers: Sequence[Tensor], statistics_mask_BT: Tensor | None) -> Tensor:
        total = layers[0]
        for layer in layers[1:]:
            total = total + layer
        return total / len(layers)
