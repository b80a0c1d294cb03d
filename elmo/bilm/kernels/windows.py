"""The character convolutions with the maximum over positions, and their gradient, on a CPU.

A convolution over character vectors is a sum over its offsets of (vector of the character there) x (weight of
the offset). There are few characters, so that these products are computed once for each of them, into tables.
A window is then a sum of rows, and the maximum is taken before anything is written. The gradient of a word's
filter belongs to one window: it is added to the rows of the tables that made it up.

Shape legend: U types, M >= U rows, C characters of a row, K characters in all, E character embedding, W width
of a filter, F filters of one width, S >= F columns of a table, rounded up to the lanes of a vector.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from elmo.bilm.kernels.library import kernels, pointer

_LANES = 16  # as in vectors.h


class CharacterFilters(torch.autograd.Function):
    """(M, sum F): the activated largest value over the positions for each type and filter, in float32.

    Args:
        characters_UC: int64, at least as many characters as the widest filter.
        embedding_KE: the characters' vectors.
        padding: the character after which a row has no other one.
        is_tanh: the activation is tanh; otherwise relu.
        num_rows: M, at least U; the rows behind the types are zero.
        filters: (W E, F) weights of each width, then their (F,) biases.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        characters_UC: Tensor,
        embedding_KE: Tensor,
        padding: int,
        is_tanh: bool,
        num_rows: int,
        *filters: Tensor,
    ) -> Tensor:
        weights, biases = filters[: len(filters) // 2], filters[len(filters) // 2 :]
        characters_UC = characters_UC.contiguous()
        num_types, num_filters = len(characters_UC), sum(map(len, biases))
        out_MF = embedding_KE.new_empty(num_rows, num_filters)
        out_MF[num_types:].zero_()
        positions, start = list[Tensor](), 0
        for weight, bias in zip(weights, biases, strict=True):
            with torch.autocast("cpu", enabled=False):
                tables_WKS = embedding_KE @ _padded(weight, embedding_KE)
            width, num_characters, columns = tables_WKS.shape
            positions_US = torch.empty(num_types, columns, dtype=torch.uint8)
            sizes = (width, len(bias), num_characters, columns, num_filters, int(is_tanh))
            tensors = (characters_UC, tables_WKS, bias, (out_MF, start), positions_US)
            _call("windows_forward", characters_UC, (*sizes, ctypes.c_int64(padding)), tensors)
            positions.append(positions_US)
            start += len(bias)
        ctx.is_tanh = is_tanh
        ctx.save_for_backward(characters_UC, embedding_KE, out_MF, *weights, *positions)
        return out_MF

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        characters_UC, embedding_KE, out_MF, *rest = ctx.saved_tensors
        weights, positions = rest[: len(rest) // 2], rest[len(rest) // 2 :]
        d_out_MF, start = gradients[0].contiguous(), 0
        d_embedding, d_weights, d_biases = torch.zeros_like(embedding_KE), list[Tensor](), list[Tensor]()
        for weight, positions_US in zip(weights, positions, strict=True):
            padded_WES = _padded(weight, embedding_KE)
            width, columns, number = len(padded_WES), padded_WES.shape[2], weight.shape[1]
            d_tables_WKS = embedding_KE.new_zeros(width, len(embedding_KE), columns)
            d_bias = embedding_KE.new_zeros(number)
            sizes = (width, number, len(embedding_KE), columns, out_MF.shape[1], int(ctx.is_tanh))
            tensors = (characters_UC, positions_US, (out_MF, start), (d_out_MF, start), d_tables_WKS, d_bias)
            _call("windows_backward", characters_UC, sizes, tensors)
            d_weights.append((embedding_KE.T @ d_tables_WKS)[..., :number].flatten(0, 1))
            d_embedding += torch.bmm(d_tables_WKS, padded_WES.transpose(1, 2)).sum(0)
            d_biases.append(d_bias)
            start += number
        return None, d_embedding, None, None, None, *d_weights, *d_biases


def _padded(weight: Tensor, embedding_KE: Tensor) -> Tensor:
    """(W, E, S), with columns of zeros: a vector more than needed, as rows whose distance is a power of two
    share a few lines of a processor's cache; the gradient then took four times as long.
    """
    return F.pad(
        weight.view(-1, embedding_KE.shape[1], weight.shape[1]), (0, -weight.shape[1] % _LANES + _LANES)
    )


def _call(
    name: str,
    characters_UC: Tensor,
    sizes: tuple[Any, ...],
    tensors: tuple[Tensor | tuple[Tensor, int], ...],
) -> None:
    """Call a kernel; a tensor may have the place of its first value."""
    addresses = [pointer(*given) if isinstance(given, tuple) else pointer(given) for given in tensors]
    getattr(kernels(), name)(*characters_UC.shape, *sizes, *addresses, torch.get_num_threads())
