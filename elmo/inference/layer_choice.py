"""The choice of layers: all, the top one, their average, a single one, or a weighted sum."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from elmo.errors import InputError

Layers = str | int | Sequence[float]


class LayerChoice:
    """Selects or combines an encoder's layers.

    Args:
        layers: all, top, average, a layer's number from 0 (the context-free one), or one weight per layer for
            their weighted sum.
        num_layers: the encoder's number of layers.

    Attributes:
        layers: the argument, in plain values for JSON.
        stacked: whether the result has all layers, on an axis of their own.

    Raises:
        InputError: `layers` is none of these.
    """

    def __init__(self, layers: Layers, num_layers: int) -> None:
        self.num_layers = num_layers
        self.stacked = isinstance(layers, str) and layers == "all"
        self.layers: str | int | list[float]
        if isinstance(layers, str):
            self.layers, self._weights = layers, self._named(layers)
        elif isinstance(layers, (int, np.integer)):
            self.layers, self._weights = self._one(layers)
        else:
            self.layers = self._weights = self._given(layers)

    def combine(self, layers: Sequence[Tensor]) -> list[Tensor]:
        """The tensors of all layers -> all of them if `stacked`, else one tensor."""
        if self.stacked:
            return list(layers)
        used = [(weight, layer) for weight, layer in zip(self._weights, layers, strict=True) if weight]
        if not used:
            return [layers[0] * 0]
        total = used[0][1] if used[0][0] == 1 else used[0][0] * used[0][1]
        for weight, layer in used[1:]:
            total = total.add(layer, alpha=weight)
        return [total]

    def _named(self, name: str) -> list[float]:
        if name == "average":
            return [1 / self.num_layers] * self.num_layers
        if name not in ("all", "top"):
            raise self._fault(name)
        return self._one(self.num_layers - 1)[1]

    def _given(self, weights: Sequence[float]) -> list[float]:
        try:
            plain = [float(weight) for weight in weights]
        except (TypeError, ValueError):
            plain = []
        if len(plain) != self.num_layers or not all(map(math.isfinite, plain)):
            raise self._fault(weights)
        return plain

    def _one(self, layer: int | np.integer) -> tuple[int, list[float]]:
        if isinstance(layer, bool) or not 0 <= layer < self.num_layers:
            raise self._fault(layer)
        return int(layer), [float(index == layer) for index in range(self.num_layers)]

    def _fault(self, given: object) -> InputError:
        return InputError(
            f"layers: expected all, top, average, 0..{self.num_layers - 1} or {self.num_layers} weights, "
            f"got {given!r}"
        )
