"""Mixes: combine an encoder's layers into one vector for each token (Peters et al. 2018, sections 3.2, 5.1).

Shape legend: L layers, B sentences, T tokens of the longest one, P size of a vector.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elmo.errors import InputError
from elmo.registry import REGISTRY
from elmo.values import Dropout, NotNegative, Range, Size

_VARIANCE_FLOOR = 1e-12  # of the original's layer normalisation


class Mix(nn.Module, ABC):
    """Combines a token's vectors of all layers into one vector.

    Args:
        num_layers: L, the number of layers of the encoder.
        dropout: on the result, during training.
        standardized: first subtract from each value the mean of its layer and dimension, and divide it by the
            standard deviation. `set_statistics` sets them; before that, they are 0 and 1.
        size: P; only a standardized mix needs it.

    Attributes:
        mean_LP, deviation_LP: the statistics of a standardized mix; they are saved with its weights.
    """

    mean_LP: Tensor
    deviation_LP: Tensor

    def __init__(
        self, *, num_layers: int, dropout: float, standardized: bool = False, size: int | None = None
    ) -> None:
        super().__init__()
        self.num_layers = num_layers
        self.dropout = dropout
        self.standardized = standardized
        if standardized:
            if size is None:
                raise InputError("mix.standardized: true needs the size of the layers' vectors")
            self.register_buffer("mean_LP", torch.zeros(num_layers, size))
            self.register_buffer("deviation_LP", torch.ones(num_layers, size))

    def set_statistics(self, mean_LP: Tensor, deviation_LP: Tensor) -> None:
        """Set the means and standard deviations (above 0) of a standardized mix."""
        self.mean_LP.copy_(mean_LP)
        self.deviation_LP.copy_(deviation_LP)

    @abstractmethod
    def mix(self, layers: Sequence[Tensor], statistics_mask_BT: Tensor | None) -> Tensor:
        """L tensors (B, T, P) -> (B, T, P); only a mix that takes statistics over a batch uses the mask."""

    def penalty(self) -> Tensor:
        """The regularisation term that training adds to its loss, a scalar; 0 for a mix without weights."""
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
            statistics_mask_BT: the tokens over which a mix takes its statistics; None: those of `mask_BT`.

        Returns:
            (B, T, P), zero where `mask_BT` is false.

        Raises:
            InputError: the number of layers is not `num_layers`.
        """
        if len(layers) != self.num_layers:
            raise InputError(f"mix: expected {self.num_layers} layers, got {len(layers)}")
        counted = mask_BT if statistics_mask_BT is None else statistics_mask_BT
        mixed = self.mix(self._standardized(layers), None if counted is None else counted.bool())
        if mask_BT is not None:
            mixed = mixed.masked_fill(~mask_BT.bool()[..., None], 0.0)
        return F.dropout(mixed, self.dropout, self.training)

    def _standardized(self, layers: Tensor | Sequence[Tensor]) -> list[Tensor]:
        if not self.standardized:
            return list(layers)
        statistics = zip(self.mean_LP, self.deviation_LP, strict=True)
        return [(layer - mean) / dev for layer, (mean, dev) in zip(layers, statistics, strict=True)]


@REGISTRY.register("mix", "scalar")
class ScalarMix(Mix):
    """gamma * sum over k of softmax(scalars)_k * layer_k, with gamma initially 1.

    Layer normalisation first brings each layer to mean 0 and variance 1, with one mean and one variance over
    all values of the batch's tokens in `statistics_mask_BT`: a vector then depends on its batch.

    Args:
        num_layers: L, the number of layers of the encoder.
        layer_normed: normalise the layers.
        dropout: on the result, during training.
        l2: factor of `penalty`; the paper uses 0.001 or 0.01, depending on the task.
        initial_weights: one for each layer, before the softmax; None: zeros, equal weights for all layers.
        trainable: whether the weights and gamma are trained.
        standardized, size: see `Mix`.
    """

    def __init__(
        self,
        *,
        num_layers: Size,
        layer_normed: bool = False,
        dropout: Dropout = 0.5,
        l2: NotNegative = 0.0,
        initial_weights: Sequence[Annotated[float, Range(-(10**12), 10**12)]] | None = None,
        trainable: bool = True,
        standardized: bool = False,
        size: int | None = None,
    ) -> None:
        super().__init__(num_layers=num_layers, dropout=dropout, standardized=standardized, size=size)
        weights = [0.0] * num_layers if initial_weights is None else [float(w) for w in initial_weights]
        if len(weights) != num_layers:
            raise InputError(
                f"mix.initial_weights: expected {num_layers} numbers, one per layer, got {weights}"
            )
        self.layer_normed = layer_normed
        self.l2 = l2
        self.scalars = nn.Parameter(torch.tensor(weights), requires_grad=trainable)
        self.gamma = nn.Parameter(torch.ones(()), requires_grad=trainable)

    def weights(self) -> Tensor:
        """(L,) the factor of each layer: gamma * softmax(scalars)."""
        return self.gamma * torch.softmax(self.scalars, dim=0)

    def penalty(self) -> Tensor:
        """l2 * sum of the squared weights before the softmax, the original's regularisation."""
        return self.l2 * self.scalars.square().sum()

    def mix(self, layers: Sequence[Tensor], statistics_mask_BT: Tensor | None) -> Tensor:
        if self.layer_normed:
            layers = [layer_norm(layer, statistics_mask_BT) for layer in layers]
        weights = self.weights()
        mixed = weights[0] * layers[0]
        for weight, layer in zip(weights[1:], layers[1:], strict=True):
            mixed = mixed + weight * layer
        return mixed


def layer_norm(layer_BTP: Tensor, mask_BT: Tensor | None) -> Tensor:
    """(B, T, P) with mean 0 and variance 1 over all values of the tokens in the mask; None: of all tokens."""
    counted = layer_BTP.new_ones(layer_BTP.shape[:-1]) if mask_BT is None else mask_BT.to(layer_BTP.dtype)
    counted = counted[..., None]
    number = (counted.sum() * layer_BTP.shape[-1]).clamp_min(1)
    mean = (layer_BTP * counted).sum() / number
    centred = layer_BTP - mean
    variance = (centred * counted).square().sum() / number
    return centred / torch.sqrt(variance + _VARIANCE_FLOOR)


@REGISTRY.register("mix", "average")
class AverageMix(Mix):
    """The mean of all layers: a scalar mix without trained weights.

    Args:
        num_layers: number of layers of the encoder.
        dropout: on the result, during training.
        standardized, size: see `Mix`.
    """

    def __init__(
        self, *, num_layers: Size, dropout: Dropout = 0.5, standardized: bool = False, size: int | None = None
    ) -> None:
        super().__init__(num_layers=num_layers, dropout=dropout, standardized=standardized, size=size)

    def mix(self, layers: Sequence[Tensor], statistics_mask_BT: Tensor | None) -> Tensor:
        total = layers[0]
        for layer in layers[1:]:
            total = total + layer
        return total / len(layers)


@REGISTRY.register("mix", "top")
class TopMix(Mix):
    """The top layer only: the baseline that the paper compares a mix of all layers with (section 5.1).

    Args:
        num_layers: number of layers of the encoder.
        dropout: on the result, during training.
        standardized, size: see `Mix`.
    """

    def __init__(
        self, *, num_layers: Size, dropout: Dropout = 0.5, standardized: bool = False, size: int | None = None
    ) -> None:
        super().__init__(num_layers=num_layers, dropout=dropout, standardized=standardized, size=size)

    def mix(self, layers: Sequence[Tensor], statistics_mask_BT: Tensor | None) -> Tensor:
        return layers[-1]


@REGISTRY.register("mix", "single")
class SingleMix(Mix):
    """One layer only; lower layers encode more syntax, higher ones more semantics (Peters et al. 2018,
    section 5.3).

    Args:
        num_layers: number of layers of the encoder.
        layer: its number; 0 is the context-free word layer.
        dropout: on the result, during training.
        standardized, size: see `Mix`.
    """

    def __init__(
        self,
        *,
        num_layers: Size,
        layer: int,
        dropout: Dropout = 0.5,
        standardized: bool = False,
        size: int | None = None,
    ) -> None:
        super().__init__(num_layers=num_layers, dropout=dropout, standardized=standardized, size=size)
        if not 0 <= layer < num_layers:
            raise InputError(f"mix.layer: expected 0..{num_layers - 1}, got {layer}")
        self.layer = layer

    def mix(self, layers: Sequence[Tensor], statistics_mask_BT: Tensor | None) -> Tensor:
        return layers[self.layer]
