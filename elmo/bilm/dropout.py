"""Dropout with cheap random bits on a CPU."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_CHANCES = 2**16  # a rate of dropout is rounded to a multiple of 1 / 65,536; the scale is the rounded rate's


class Mask(NamedTuple):
    """What dropout multiplies by: `kept` times `scale`.

    Attributes:
        kept: bool, in the shape of the values.
        scale: 1 / the probability to be kept, so that the expectation stays.
    """

    kept: Tensor
    scale: float


def is_drawn_here(values: Tensor, rate: float) -> bool:
    """Whether `draw_mask` can be used for these values: on a CPU, outside of `torch.compile`."""
    return values.device.type == "cpu" and rate < 0.999 and not torch.compiler.is_compiling()


def draw_mask(shape: torch.Size, rate: float) -> Mask:
    """A mask on the CPU by the bits of PyTorch's global generator, whose state is part of a checkpoint."""
    number, dropped = shape.numel(), round(rate * _CHANCES)
    words = torch.empty(-(-number // 4), dtype=torch.int64).random_(-(2**63), None)  # all of their bits
    chances = words.view(torch.int16)[:number]  # -32,768 to 32,767
    return Mask((chances >= dropped - _CHANCES // 2).view(shape), _CHANCES / (_CHANCES - dropped))


def dropout(values: Tensor, rate: float, training: bool) -> Tensor:
    """As `torch.nn.functional.dropout`, equal in distribution up to the rounding of the rate.

    A CPU is faster here: PyTorch draws a random number for each value, here 64 bits are for four of them.
    """
    if not training or rate == 0.0:
        return values
    if not is_drawn_here(values, rate):
        return F.dropout(values, rate, training)
    kept, scale = draw_mask(values.shape, rate)
    return values * kept.to(values.dtype).mul_(scale)
