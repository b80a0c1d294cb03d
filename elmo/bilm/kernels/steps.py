"""The steps of one direction of an LSTM layer on a CPU: by products of oneDNN, called from Python, or by a
loop of C with the BLAS library's product, which is faster for small ones.

Shape legend: N packed tokens, M >= N rounded, B rows, I input, P output, H cells.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from elmo.bilm.kernels.library import blas_product, kernel, kernels, pointer
from elmo.bilm.products import Product, rounded

# FLOPs of the largest product of a step: below, calls from Python take longer than oneDNN's products save.
_SMALL_PRODUCT = 4 * 10**7


class Part(NamedTuple):
    """What one direction computes with."""

    weights: Tensor  # (I + P, 4 H)
    bias: Tensor  # (4 H,), with the constant of the forget gate
    projection: Tensor | None  # (H, P)
    c0: Tensor  # (B, H)
    mask: Tensor | None  # (B, P), of h where it enters the next step


class Kept(NamedTuple):
    """What one direction keeps for its backward pass; all but the cells in the dtype of the products."""

    inputs: Tensor  # (M, I + P): x, and h of the step before
    gates: Tensor  # (M, 4 H), activated
    cells: Tensor  # (N, H)
    tanh_cells: Tensor  # (M, H)
    hidden: Tensor  # (M, H): sigmoid(o) tanh(c)


class Sizes(NamedTuple):
    """What one direction is besides its weights."""

    batch_sizes: Sequence[int]  # number of rows of each step
    num_cells: int  # H
    num_outputs: int  # P
    clips: tuple[float | None, float | None]  # of the cells and of the outputs; None: no limit
    dtype: torch.dtype  # of the products


class OneDnnSteps:
    """Each product is a call of oneDNN with packed weights; the numbers of rows are rounded."""

    def __init__(self, sizes: Sizes) -> None:
        batch_sizes, dtype = sizes.batch_sizes, sizes.dtype
        self.num_cells, self.num_outputs = sizes.num_cells, sizes.num_outputs
        self.cell_clip, self.output_clip = (ctypes.c_float(clip or 0.0) for clip in sizes.clips)
        starts = list(itertools.accumulate(batch_sizes, initial=0))
        # for each step: where its rows begin, their number, that of the next step, where the one before began
        self.steps = list(zip(starts, batch_sizes, [*batch_sizes[1:], 0], [0, *starts], strict=False))
        names = ("cells_forward", "cells_backward", "clip_outputs", "clip_gradients")
        self.cells_forward, self.cells_backward, self.clip_outputs, self.clip_gradients = (
            kernel(name, dtype) for name in names
        )

    def forward(self, part: Part, weight_P4H: Tensor, h_before: Tensor, kept: Kept, outputs: Tensor) -> None:
        """From the products with the inputs in `kept.gates` to all that is kept, and the (N, P) outputs.

        Args:
            h_before: (M, P), h0 in its first rows; the rest is written.
        """
        H, P, threads = self.num_cells, self.num_outputs, torch.get_num_threads()
        recurrent = Product(weight_P4H)
        project = None if part.projection is None else Product(part.projection.to(weight_P4H.dtype))
        for start, size, next_size, before in self.steps:
            rows = slice(start, start + rounded(size))
            self.cells_forward(
                size,
                H,
                pointer(kept.gates, start * 4 * H),
                pointer(recurrent(h_before[rows])),
                pointer(part.bias),
                pointer(kept.cells, before * H) if start else pointer(part.c0),
                pointer(kept.cells, start * H),
                pointer(kept.tanh_cells, start * H),
                pointer(kept.hidden, start * H),
                self.cell_clip,
                threads,
            )
            hidden = kept.hidden[rows]
            self.clip_outputs(
                size,
                next_size,
                P,
                pointer(hidden if project is None else project(hidden)),
                pointer(outputs, start * P),
                pointer(h_before, (start + size) * P),
                pointer(part.mask),
                self.output_clip,
            )

    def backward(
        self, part: Part, weight_P4H: Tensor, kept: Kept, outputs: Tensor, d_outputs: Tensor, d_gates: Tensor
    ) -> None:
        """Write the (M, 4 H) gradient of the gates; `d_outputs` becomes that before the outputs were clipped.

        Args:
            d_outputs: (N, P) the gradient of the outputs from the layers above.
        """
        H, P, threads = self.num_cells, self.num_outputs, torch.get_num_threads()
        to_h, to_hidden = Product(weight_P4H.T), None
        if part.projection is not None:
            to_hidden = Product(part.projection.to(weight_P4H.dtype).T)
        num_rows = self.steps[0][1]
        d_cells = part.c0.new_empty(num_rows, H)
        d_product = d_gates.new_zeros(rounded(num_rows), P)
        d_h: Tensor | None = None
        for start, size, next_size, before in reversed(self.steps):
            self.clip_gradients(
                size,
                next_size,
                P,
                pointer(d_outputs, start * P),
                pointer(d_h),
                pointer(outputs, start * P),
                pointer(d_product),
                pointer(part.mask),
                self.output_clip,
            )
            rows = d_product[: rounded(size)]
            self.cells_backward(
                size,
                next_size,
                H,
                pointer(kept.gates, start * 4 * H),
                pointer(kept.cells, before * H) if start else pointer(part.c0),
                pointer(kept.cells, start * H),
                pointer(kept.tanh_cells, start * H),
                pointer(rows if to_hidden is None else to_hidden(rows)),
                pointer(d_cells),
                pointer(d_gates, start * 4 * H),
                self.cell_clip,
                threads,
            )
            d_h = to_h(d_gates[start : start + rounded(size)]) if start else None


class BlasSteps:
    """All steps are one call of C, which calls the BLAS library; for small products in single precision."""

    def __init__(self, sizes: Sizes) -> None:
        self.batch_sizes = torch.tensor(sizes.batch_sizes)
        self.num_rows, self.num_cells, self.num_outputs = sizes.batch_sizes[0], *sizes[1:3]
        self.clips = [ctypes.c_float(clip or 0.0) for clip in sizes.clips]
        self.first = (blas_product(), len(self.batch_sizes), pointer(self.batch_sizes), *sizes[1:3])

    def forward(self, part: Part, weight_P4H: Tensor, h_before: Tensor, kept: Kept, outputs: Tensor) -> None:
        """See `OneDnnSteps.forward`."""
        projection = None if part.projection is None else part.projection.contiguous()
        scratch = kept.gates.new_empty(self.num_rows, 4 * self.num_cells)
        given = (weight_P4H, projection, part.bias, part.mask, part.c0)
        written = (kept.gates, h_before, kept.cells, kept.tanh_cells, kept.hidden, outputs, scratch)
        addresses = map(pointer, (*given, *written))
        _in_c("lstm_forward")(*self.first, *addresses, *self.clips, torch.get_num_threads())

    def backward(
        self, part: Part, weight_P4H: Tensor, kept: Kept, outputs: Tensor, d_outputs: Tensor, d_gates: Tensor
    ) -> None:
        """See `OneDnnSteps.backward`."""
        projection = None if part.projection is None else part.projection.contiguous()
        d_hidden, d_cells = d_gates.new_empty(2, self.num_rows, self.num_cells)
        d_next = d_gates.new_empty(self.num_rows, self.num_outputs)
        given = (weight_P4H, projection, part.mask, part.c0)
        read = (kept.gates, kept.cells, kept.tanh_cells, outputs)
        addresses = map(pointer, (*given, *read, d_outputs, d_gates, d_hidden, d_cells, d_next))
        _in_c("lstm_backward")(*self.first, *addresses, *self.clips, torch.get_num_threads())


def make_steps(sizes: Sizes) -> OneDnnSteps | BlasSteps:
    """The faster way for these sizes."""
    num_flops = 2 * sizes.batch_sizes[0] * sizes.num_outputs * 4 * sizes.num_cells
    is_small = sizes.dtype == torch.float32 and num_flops < _SMALL_PRODUCT
    return BlasSteps(sizes) if is_small and blas_product() is not None else OneDnnSteps(sizes)


def _in_c(name: str) -> ctypes._NamedFuncPointer:  # type: ignore[name-defined]
    return getattr(kernels(), name)
