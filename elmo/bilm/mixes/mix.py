"""What every mix of layers can do, whatever its rule.

Shape legend: L layers, B sentences, T tokens of the longest one, P size of a vector.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elmo.errors import InputError


class Mix(nn.Module, ABC):
    """One vector for each token, from its vectors in all layers.

    Args:
        num_layers: L, layers that are given; an encoder's `num_layers`.
        dropout: on the result, while training.
    """

    def __init__(self, *, num_layers: int, dropout: float) -> None:
        super().__init__()
        if num_layers < 1:
            raise InputError(f"mix.num_layers: expected at least 1, got {num_layers}")
        if not 0 <= dropout < 1:
            raise InputError(f"mix.dropout: expected at least 0 and less than 1, got {dropout}")
        self.num_layers = num_layers
        self.dropout = dropout

    @abstractmethod
    def mix(self, layers: Sequence[Tensor], statistics_mask_BT: Tensor | None) -> Tensor:
        """L tensors (B, T, P) -> (B, T, P); only a mix with statistics over a batch looks at the mask."""

    def penalty(self) -> Tensor:
        """What training adds to its loss, a scalar; 0 for a mix without weights of its own."""
        return torch.zeros(())

    def forward(
        self,
        layers: Tensor | Sequence[Tensor],
        mask_BT: Tensor | None = None,
        statistics_mask_BT: Tensor | None = None,
    ) -> Tensor:
        """Mix the layers of a batch.

        Args:
            layers: (L, B, T, P), or L tensors (B, T, P).
            mask_BT: true for tokens, false for padding; None: there is no padding.
            statistics_mask_BT: the tokens that count where a mix takes statistics; None: all of `mask_BT`.

        Returns:
            (B, T, P), zero where `mask_BT` is false.

        Raises:
            InputError: there are not `num_layers` layers.
        """
        if len(layers) != self.num_layers:
            raise InputError(f"mix: expected {self.num_layers} layers, got {len(layers)}")
        counted = mask_BT if statistics_mask_BT is None else statistics_mask_BT
        mixed = self.mix(list(layers), None if counted is None else counted.bool())
        if mask_BT is not None:
            mixed = mixed.masked_fill(~mask_BT.bool()[..., None], 0.0)
        return F.dropout(mixed, self.dropout, self.training)
