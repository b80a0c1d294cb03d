"""Mixes: combine an encoder's layers into one vector for each token (Peters et al. 2018, sections 3.2, 5.1).

Shape legend: L layers, B sentences, T tokens of the longest one, N = B T, P size of a vector.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from elmo.bilm.dropout import draw_mask, dropout, is_drawn_here
from elmo.errors import InputError
from elmo.registry import REGISTRY
from elmo.values import Dropout, NotNegative, Range, Size

_VARIANCE_FLOOR = 1e-12  # of the original's layer normalisation
_BLOCK_VALUES = 2**17  # of a sum of layers: half a megabyte in float32, which stays in a CPU's cache


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
    layer_normed = False

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
    def weights(self) -> Tensor | None:
        """The factor of each of the layers `used`; None: a single one, as it is."""

    @property
    def used(self) -> slice:
        """The layers that the result depends on."""
        return slice(None)

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
        if isinstance(layers, Tensor) and not self.layer_normed and _are_frozen(layers, self.dropout):
            return self._mixed_frozen(layers[self.used], mask_BT)
        counted = mask_BT if statistics_mask_BT is None else statistics_mask_BT
        return self._mixed(layers[self.used], mask_BT, None if counted is None else counted.bool())

    def _mixed(
        self, layers: Tensor | Sequence[Tensor], mask_BT: Tensor | None, counted_BT: Tensor | None
    ) -> Tensor:
        """The mix step by step, which is differentiable by the layers and runs everywhere."""
        if layers[0].dtype == torch.float16 and layers[0].device.type == "cpu":  # as they are stored
            layers = [layer.float() for layer in layers]
        if self.standardized:
            statistics = zip(self.mean_LP[self.used], self.deviation_LP[self.used], strict=True)
            layers = [(layer - mean) / dev for layer, (mean, dev) in zip(layers, statistics, strict=True)]
        if self.layer_normed:
            layers = [layer_norm(layer, counted_BT) for layer in layers]
        weights, mixed = self.weights(), layers[0]
        if weights is not None:
            mixed = weights[0] * layers[0]
            for weight, layer in zip(weights[1:], layers[1:], strict=True):
                mixed = mixed + weight * layer
        if mask_BT is not None:
            mixed = mixed.masked_fill(~mask_BT.bool()[..., None], 0.0)
        return dropout(mixed, self.dropout, self.training)

    def _mixed_frozen(self, layers: Tensor, mask_BT: Tensor | None) -> Tensor:
        """The same on a CPU in a few passes: weights and statistics make one factor for each dimension."""
        shape = layers[0].shape
        weights = self.weights()
        dtype = torch.promote_types(layers.dtype, torch.float32)
        factors_LP = torch.ones(len(layers), shape[-1], dtype=dtype)
        if weights is not None:
            factors_LP = factors_LP * weights[:, None].to(dtype)
        constant_P = torch.zeros(shape[-1], dtype=dtype)
        if self.standardized:
            factors_LP = factors_LP / self.deviation_LP[self.used]
            constant_P = -(factors_LP * self.mean_LP[self.used]).sum(dim=0)
        kept = None if mask_BT is None else mask_BT.bool().reshape(-1, 1)
        if self.training and self.dropout:
            drawn, scale = draw_mask(torch.Size([shape[:-1].numel(), shape[-1]]), self.dropout)
            kept = drawn if kept is None else drawn.logical_and_(kept)
            factors_LP, constant_P = factors_LP * scale, constant_P * scale
        return weighted_sum(layers.flatten(1, -2), factors_LP, constant_P, kept).view(shape)


def _are_frozen(layers: Tensor, rate: float) -> bool:
    """Whether the layers get no gradient, on a CPU; bfloat16 is left to PyTorch."""
    has_gradient = torch.is_grad_enabled() and layers.requires_grad
    return not has_gradient and layers.dtype != torch.bfloat16 and is_drawn_here(layers, rate)


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

    def weights(self) -> Tensor:
        return torch.full((self.num_layers,), 1 / self.num_layers, dtype=torch.float64)


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

    @property
    def used(self) -> slice:
        return slice(self.num_layers - 1, None)

    def weights(self) -> None:
        return None


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

    @property
    def used(self) -> slice:
        return slice(self.layer, self.layer + 1)

    def weights(self) -> None:
        return None


def weighted_sum(layers_LNP: Tensor, factors_LP: Tensor, constant_P: Tensor, kept: Tensor | None) -> Tensor:
    """(N, P): the sum over k of factors_k * layer_k, plus the constant, and zero where `kept` is false.

    It is for a CPU, and summed block by block. The layers get no gradient; factors and constant do.

    Args:
        layers_LNP: of any precision, and in any order of its axes in memory.
        factors_LP, constant_P: in the precision of the result.
        kept: bool, (N, P) or (N, 1); None: everything is kept.
    """
    summed: Tensor = _WeightedSum.apply(layers_LNP, factors_LP, constant_P, kept)
    return summed


class _WeightedSum(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, layers_LNP: Tensor, factors_LP: Tensor, constant_P: Tensor, kept: Tensor | None
    ) -> Tensor:
        ctx.save_for_backward(layers_LNP, kept)
        sum_NP = factors_LP.new_empty(layers_LNP.shape[1:])
        for rows in _blocks(sum_NP):
            block = sum_NP[rows]
            block.copy_(constant_P)
            for layer_NP, factor_P in zip(_converted(layers_LNP, rows, block), factors_LP, strict=True):
                block.addcmul_(layer_NP, factor_P)
            if kept is not None:
                block.mul_(kept[rows].to(block.dtype))
        return sum_NP

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_NP: Tensor) -> tuple[Tensor | None, ...]:
        layers_LNP, kept = ctx.saved_tensors
        L, _, P = layers_LNP.shape
        factors_LP, constant_P = gradient_NP.new_zeros(L, P), gradient_NP.new_zeros(P)
        for rows in _blocks(gradient_NP):
            block = gradient_NP[rows]
            if kept is not None:
                block = block * kept[rows].to(block.dtype)
            constant_P += block.sum(dim=0)
            for factor_P, layer_NP in zip(factors_LP, _converted(layers_LNP, rows, block), strict=True):
                factor_P += (block * layer_NP).sum(dim=0)
        return None, factors_LP, constant_P, None


def _converted(layers_LNP: Tensor, rows: slice, block: Tensor) -> Tensor:
    """Some rows of all layers, in the block's precision: at once, as they may lie beside each other."""
    return layers_LNP[:, rows].to(block.dtype)


def _blocks(values_NP: Tensor) -> Iterator[slice]:
    """The rows of each block."""
    N, P = values_NP.shape
    step = max(1, _BLOCK_VALUES // max(P, 1))
    return (slice(start, start + step) for start in range(0, N, step))
