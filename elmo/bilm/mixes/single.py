"""One chosen layer alone: lower ones know more of syntax, higher ones of meaning (Peters et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from elmo.bilm.mixes.mix import Mix
from elmo.errors import InputError
from elmo.registry import REGISTRY


@REGISTRY.register("mix", "single")
class SingleMix(Mix):
    """One layer.

    Args:
        num_layers: layers that are given.
        layer: which one; 0 is the context-free layer of the words themselves.
        dropout: on the result, while training.
    """

    def __init__(self, *, num_layers: int, layer: int, dropout: float = 0.5) -> None:
        super().__init__(num_layers=num_layers, dropout=dropout)
        if not 0 <= layer < num_layers:
            raise InputError(f"mix.layer: expected 0..{num_layers - 1}, got {layer}")
        self.layer = layer

    def mix(self, layers: Sequence[Tensor], statistics_mask_BT: Tensor | None) -> Tensor:
        return layers[self.layer]
