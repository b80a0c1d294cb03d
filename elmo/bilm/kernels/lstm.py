"""The recurrence of a packed LSTM layer and its gradient on a CPU: products by oneDNN, the rest by C kernels.

Each direction runs through all steps on its own, side by side with the other. The numbers of rows of all
products are rounded up (see `elmo.bilm.products`): what lies behind the real rows is read by nobody, and is
zero where a product sums over it.

Shape legend: D = 2 directions, N packed tokens, M >= N rounded, B rows, I input, P output, H cells.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from elmo.bilm.kernels.library import kernel, pointer
from elmo.bilm.kernels.threads import side_by_side
from elmo.bilm.products import Product, linear, rounded

# FLOPs: for a smaller product, calling oneDNN and packing the weight take longer than they save.
_SMALL_PRODUCT = 10**7


class PackedLstm(torch.autograd.Function):
    """The outputs and the last states of a layer; see `elmo.bilm.lstm.LstmLayer.forward`."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        x_DNI: Tensor,
        weights: Tensor,
        bias: Tensor,
        projection: Tensor | None,
        h0_DBP: Tensor,
        c0_DBH: Tensor,
        mask_DBP: Tensor | None,
        batch_sizes: Sequence[int],
        last: Tensor,
        clips: tuple[float | None, float | None],
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.recurrence = recurrence = _Recurrence(
            batch_sizes, weights.shape[2] // 4, h0_DBP.shape[2], clips, dtype
        )
        outputs_DNP = x_DNI.new_empty(2, x_DNI.shape[1], h0_DBP.shape[2])
        c0_DBH = c0_DBH.contiguous()
        parts = _directions(weights, bias, projection, c0_DBH, mask_DBP)

        def run(d: int) -> _Kept:
            return recurrence.forward(parts[d], x_DNI[d], h0_DBP[d], outputs_DNP[d])

        kept = side_by_side(run)
        h_last = outputs_DNP[:, last]
        c_last = torch.stack([part.cells[last] for part in kept])
        ctx.save_for_backward(weights, bias, projection, c0_DBH, mask_DBP, outputs_DNP, *kept[0], *kept[1])
        ctx.mark_non_differentiable(h_last, c_last)
        return outputs_DNP, h_last, c_last

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        saved, recurrence = ctx.saved_tensors, ctx.recurrence
        weights, _, projection, _, _, outputs_DNP = saved[:6]
        parts = _directions(*saved[:5])
        kept = _Kept(*saved[6 : 6 + len(_Kept._fields)]), _Kept(*saved[6 + len(_Kept._fields) :])
        d_outputs_DNP = gradients[0].clone(memory_format=torch.contiguous_format)  # changed in place
        d_weights, d_bias = torch.empty_like(weights), weights.new_zeros(2, weights.shape[2])
        d_projection = None if projection is None else torch.empty_like(projection)
        num_inputs = weights.shape[1] - outputs_DNP.shape[2]
        d_x = outputs_DNP.new_empty(*outputs_DNP.shape[:2], num_inputs) if ctx.needs_input_grad[0] else None

        def run(d: int) -> None:
            both = (d_x, d_weights, d_bias, d_projection)
            results = _Gradients(*(None if part is None else part[d] for part in both))  # type: ignore[arg-type]
            recurrence.backward(parts[d], kept[d], outputs_DNP[d], d_outputs_DNP[d], results)

        side_by_side(run)
        return d_x, d_weights, d_bias, d_projection, *[None] * 7


def _product(weight: Tensor, num_rows: int) -> Callable[[Tensor], Tensor]:
    """x -> x weight, for every step: packed for oneDNN, unless the products are too small to be worth it."""
    if weight.dtype == torch.float32 and 2 * num_rows * weight.numel() < _SMALL_PRODUCT:
        return lambda x: x @ weight
    return Product(weight)


class _Part(NamedTuple):
    """What one direction computes with."""

    weights: Tensor  # (I + P, 4 H)
    bias: Tensor  # (4 H,), with the constant of the forget gate
    projection: Tensor | None  # (H, P)
    c0: Tensor  # (B, H)
    mask: Tensor | None  # (B, P), of h where it enters the next step


class _Kept(NamedTuple):
    """What one direction keeps for its backward pass; all but the cells in the dtype of the products."""

    inputs: Tensor  # (M, I + P): x, and h of the step before
    gates: Tensor  # (M, 4 H), activated
    cells: Tensor  # (N, H)
    tanh_cells: Tensor  # (M, H)
    hidden: Tensor  # (M, H): sigmoid(o) tanh(c)


class _Gradients(NamedTuple):
    """Where one direction writes its gradients."""

    x: Tensor | None
    weights: Tensor
    bias: Tensor
    projection: Tensor | None


def _directions(
    weights: Tensor, bias: Tensor, projection: Tensor | None, c0_DBH: Tensor, mask_DBP: Tensor | None
) -> list[_Part]:
    both = (weights, bias, projection, c0_DBH, mask_DBP)
    return [_Part(*(None if part is None else part[d] for part in both)) for d in (0, 1)]  # type: ignore[arg-type]


class _Recurrence:
    """The steps of one layer; each direction is one call.

    Args:
        batch_sizes: number of rows of each step.
        num_cells, num_outputs: H and P.
        clips: of the cells and of the outputs; None: no limit.
        dtype: of the products.
    """

    def __init__(
        self,
        batch_sizes: Sequence[int],
        num_cells: int,
        num_outputs: int,
        clips: tuple[float | None, float | None],
        dtype: torch.dtype,
    ) -> None:
        self.num_tokens, self.num_cells, self.num_outputs = sum(batch_sizes), num_cells, num_outputs
        self.dtype = dtype
        self.cell_clip, self.output_clip = (ctypes.c_float(clip or 0.0) for clip in clips)
        starts = list(itertools.accumulate(batch_sizes, initial=0))
        # for each step: where its rows begin, their number, that of the next step, where the one before began
        self.steps = list(zip(starts, batch_sizes, [*batch_sizes[1:], 0], [0, *starts], strict=False))
        self.cells_forward, self.cells_backward, self.clip_outputs, self.clip_gradients, self.add_rows = (
            kernel(name, dtype)
            for name in ("cells_forward", "cells_backward", "clip_outputs", "clip_gradients", "add_rows")
        )

    def forward(self, part: _Part, x: Tensor, h0: Tensor, outputs: Tensor) -> _Kept:
        """Write the (N, P) outputs of the (N, I) inputs."""
        H, P, threads = self.num_cells, self.num_outputs, torch.get_num_threads()
        num_inputs = x.shape[1]
        weights = part.weights.to(self.dtype)
        recurrent = _product(weights[num_inputs:], len(h0))
        project = None if part.projection is None else _product(part.projection.to(self.dtype), len(h0))
        inputs, h_before = self._buffer(num_inputs + P), self._buffer(P)
        inputs[: self.num_tokens, :num_inputs] = x
        h_before[: len(h0)] = h0 if part.mask is None else h0 * part.mask
        gates = linear(inputs[:, :num_inputs], weights[:num_inputs].T)
        cells = part.c0.new_empty(self.num_tokens, H)
        tanh_cells, hidden = self._buffer(H), self._buffer(H)
        for start, size, next_size, before in self.steps:
            rows = slice(start, start + rounded(size))
            self.cells_forward(
                size,
                H,
                pointer(gates, start * 4 * H),
                pointer(recurrent(h_before[rows])),
                pointer(part.bias),
                pointer(cells, before * H) if start else pointer(part.c0),
                pointer(cells, start * H),
                pointer(tanh_cells, start * H),
                pointer(hidden, start * H),
                self.cell_clip,
                threads,
            )
            self.clip_outputs(
                size,
                next_size,
                P,
                pointer(hidden[rows] if project is None else project(hidden[rows])),
                pointer(outputs, start * P),
                pointer(h_before, (start + size) * P),
                pointer(part.mask),
                self.output_clip,
            )
        inputs[:, num_inputs:] = h_before
        return _Kept(inputs, gates, cells, tanh_cells, hidden)

    def backward(
        self, part: _Part, kept: _Kept, outputs: Tensor, d_outputs: Tensor, results: _Gradients
    ) -> None:
        """Write the gradients; `d_outputs` becomes that of the outputs before they were clipped."""
        H, P, threads = self.num_cells, self.num_outputs, torch.get_num_threads()
        weights = part.weights.to(self.dtype)
        num_inputs = len(weights) - P
        num_rows = self.steps[0][1]
        to_h, to_hidden = _product(weights[num_inputs:].T, num_rows), None
        if part.projection is not None:
            to_hidden = _product(part.projection.to(self.dtype).T, num_rows)
        d_gates, d_product = self._buffer(4 * H), self._buffer(P)
        d_cells = part.c0.new_empty(num_rows, H)
        d_h: Tensor | None = None
        for start, size, next_size, before in reversed(self.steps):
            rows = slice(start, start + rounded(size))
            self.clip_gradients(
                size,
                next_size,
                P,
                pointer(d_outputs, start * P),
                pointer(d_h),
                pointer(outputs, start * P),
                pointer(d_product, start * P),
                pointer(part.mask),
                self.output_clip,
            )
            d_hidden = d_product[rows] if to_hidden is None else to_hidden(d_product[rows])
            self.cells_backward(
                size,
                next_size,
                H,
                pointer(kept.gates, start * 4 * H),
                pointer(kept.cells, before * H) if start else pointer(part.c0),
                pointer(kept.cells, start * H),
                pointer(kept.tanh_cells, start * H),
                pointer(d_hidden),
                pointer(d_cells),
                pointer(d_gates, start * 4 * H),
                self.cell_clip,
                threads,
            )
            d_h = to_h(d_gates[rows]) if start else None
        # one product over all steps for each weight matrix
        results.weights.copy_(linear(kept.inputs.T, d_gates.T))
        self.add_rows(self.num_tokens, 4 * H, pointer(d_gates), pointer(results.bias))
        if results.x is not None:
            results.x.copy_(linear(d_gates, weights[:num_inputs])[: self.num_tokens])
        if results.projection is not None:
            results.projection.copy_(linear(kept.hidden.T, d_product.T))

    def _buffer(self, size: int) -> Tensor:
        """(M, size), with zeros behind the tokens."""
        buffer = torch.empty(rounded(self.num_tokens), size, dtype=self.dtype)
        buffer[self.num_tokens :].zero_()
        return buffer
