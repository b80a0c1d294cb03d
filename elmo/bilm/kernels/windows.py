"""The character convolutions with the maximum over positions, and their gradient, on a CPU.

A convolution over character vectors is a sum over its offsets of (vector of the character there) x (weight of
the offset). There are few characters, so that these products are computed once for each of them, into tables.
A window is then a sum of rows, and the maximum is taken before anything is written. The gradient of a word's
filter belongs to one window: it is added to the rows of the tables that made it up.

Shape legend: U types, C characters of a row, K characters in all, E character embedding, W width of a filter,
F filters of one width, S >= F columns of a table, rounded up to the lanes of a vector.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from elmo.bilm.kernels.library import kernels, pointer

_LANES = 16  # as in vectors.h


class LargestWindows(torch.autograd.Function):
    """(U, sum F): the largest value over the positions for each type and filter, in float32.

    Args:
        characters_UC: int64, at least as many characters as the widest filter.
        embedding_KE: the characters' vectors.
        padding: the character after which a row has no other one.
        weights: (W E, F) of each width.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, characters_UC: Tensor, embedding_KE: Tensor, padding: int, *weights: Tensor
    ) -> Tensor:
        characters_UC = characters_UC.contiguous()
        best, positions = list[Tensor](), list[Tensor]()
        for weight in weights:
            with torch.autocast("cpu", enabled=False):
                tables_WKS = embedding_KE @ _padded(weight, embedding_KE)
            width, num_characters, columns = tables_WKS.shape
            best_US = tables_WKS.new_empty(len(characters_UC), columns)
            positions_US = torch.empty(best_US.shape, dtype=torch.uint8)
            _call(
                "windows_forward",
                characters_UC,
                (width, num_characters, columns, ctypes.c_int64(padding)),
                (characters_UC, tables_WKS, best_US, positions_US),
            )
            best.append(best_US[:, : weight.shape[1]])
            positions.append(positions_US)
        ctx.save_for_backward(characters_UC, embedding_KE, *weights, *positions)
        return torch.cat(best, dim=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        characters_UC, embedding_KE, *rest = ctx.saved_tensors
        weights, positions = rest[: len(rest) // 2], rest[len(rest) // 2 :]
        d_embedding, d_weights = torch.zeros_like(embedding_KE), []
        parts = gradients[0].split([weight.shape[1] for weight in weights], dim=1)
        for weight, positions_US, d_best in zip(weights, positions, parts, strict=True):
            padded_WES = _padded(weight, embedding_KE)
            width, num_characters, columns = len(padded_WES), len(embedding_KE), padded_WES.shape[2]
            d_best_US = F.pad(d_best, (0, columns - d_best.shape[1])).contiguous()
            d_tables_WKS = embedding_KE.new_zeros(width, num_characters, columns)
            _call(
                "windows_backward",
                characters_UC,
                (width, num_characters, columns),
                (characters_UC, positions_US, d_best_US, d_tables_WKS),
            )
            d_weights.append((embedding_KE.T @ d_tables_WKS)[..., : weight.shape[1]].flatten(0, 1))
            d_embedding += torch.bmm(d_tables_WKS, padded_WES.transpose(1, 2)).sum(0)
        return None, d_embedding, None, *d_weights


def _padded(weight: Tensor, embedding_KE: Tensor) -> Tensor:
    """(W, E, S), with columns of zeros."""
    return F.pad(weight.view(-1, embedding_KE.shape[1], weight.shape[1]), (0, -weight.shape[1] % _LANES))


def _call(name: str, characters_UC: Tensor, sizes: tuple[Any, ...], tensors: tuple[Tensor, ...]) -> None:
    getattr(kernels(), name)(*characters_UC.shape, *sizes, *map(pointer, tensors), torch.get_num_threads())
