"""The top layer alone: what a mix of all layers is compared with (Peters et al. 2018, section 5.1)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from elmo.bilm.mixes.mix import Mix
from elmo.registry import REGISTRY


@REGISTRY.register("mix", "top")
class TopMix(Mix):
    """The top layer.

    Args:
        num_layers: layers that are given.
        dropout: on the result, while training.
    """

    def __init__(self, *, num_layers: int, dropout: float = 0.5) -> None:
        super().__init__(num_layers=num_layers, dropout=dropout)

    def mix(self, layers: Sequence[Tensor], statistics_mask_BT: Tensor | None) -> Tensor:
        return layers[-1]
