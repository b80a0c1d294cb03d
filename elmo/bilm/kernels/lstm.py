"""The recurrence of a packed LSTM layer and its gradient on a CPU: products by oneDNN, the rest by C kernels.

Each direction runs through all steps on its own, side by side with the other. The numbers of rows of all
products are rounded up (see `elmo.bilm.products`): what lies behind the real rows is read by nobody, and is
zero where a product sums over it.

Shape legend: D = 2 directions, N packed tokens, M >= N rounded, B rows, I input, P output, H cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from elmo.bilm.kernels.library import kernel, pointer
from elmo.bilm.kernels.steps import Kept, Part, Sizes, make_steps
from elmo.bilm.kernels.threads import side_by_side
from elmo.bilm.products import linear, rounded


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
        sizes = Sizes(batch_sizes, weights.shape[2] // 4, h0_DBP.shape[2], clips, dtype)
        ctx.recurrence = recurrence = _Recurrence(sizes)
        outputs_DNP = x_DNI.new_empty(2, x_DNI.shape[1], h0_DBP.shape[2])
        c0_DBH = c0_DBH.contiguous()
        parts = _directions(weights, bias, projection, c0_DBH, mask_DBP)

        def run(d: int) -> Kept:
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
        kept = Kept(*saved[6 : 6 + len(Kept._fields)]), Kept(*saved[6 + len(Kept._fields) :])
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


class _Gradients(NamedTuple):
    """Where one direction writes its gradients."""

    x: Tensor | None
    weights: Tensor
    bias: Tensor
    projection: Tensor | None


def _directions(
    weights: Tensor, bias: Tensor, projection: Tensor | None, c0_DBH: Tensor, mask_DBP: Tensor | None
) -> list[Part]:
    both = (weights, bias, projection, c0_DBH, mask_DBP)
    return [Part(*(None if part is None else part[d] for part in both)) for d in (0, 1)]  # type: ignore[arg-type]


class _Recurrence:
    """One layer; each direction is one call."""

    def __init__(self, sizes: Sizes) -> None:
        self.num_tokens, self.num_cells, self.num_outputs = sum(sizes.batch_sizes), *sizes[1:3]
        self.dtype, self.steps = sizes.dtype, make_steps(sizes)

    def forward(self, part: Part, x: Tensor, h0: Tensor, outputs: Tensor) -> Kept:
        """Write the (N, P) outputs of the (N, I) inputs."""
        num_inputs, num_outputs = x.shape[1], self.num_outputs
        weights = part.weights.to(self.dtype)
        inputs, h_before = self._buffer(num_inputs + num_outputs), self._buffer(num_outputs)
        inputs[: self.num_tokens, :num_inputs] = x
        h_before[: len(h0)] = h0 if part.mask is None else h0 * part.mask
        gates = linear(inputs[:, :num_inputs], weights[:num_inputs].T)
        cells = part.c0.new_empty(self.num_tokens, self.num_cells)
        kept = Kept(inputs, gates, cells, self._buffer(self.num_cells), self._buffer(self.num_cells))
        self.steps.forward(part, weights[num_inputs:], h_before, kept, outputs)
        inputs[:, num_inputs:] = h_before
        return kept

    def backward(
        self, part: Part, kept: Kept, outputs: Tensor, d_outputs: Tensor, results: _Gradients
    ) -> None:
        """Write the gradients; `d_outputs` becomes that of the outputs before they were clipped."""
        weights = part.weights.to(self.dtype)
        num_inputs = len(weights) - self.num_outputs
        d_gates, d_product = self._buffer(4 * self.num_cells), self._buffer(self.num_outputs)
        self.steps.backward(part, weights[num_inputs:], kept, outputs, d_outputs, d_gates)
        # one product over all steps for each weight matrix
        results.weights.copy_(linear(kept.inputs.T, d_gates.T))
        add_rows = kernel("add_rows", self.dtype)
        add_rows(self.num_tokens, 4 * self.num_cells, pointer(d_gates), pointer(results.bias))
        if results.x is not None:
            results.x.copy_(linear(d_gates, weights[:num_inputs])[: self.num_tokens])
        if results.projection is not None:
            d_product[: self.num_tokens] = d_outputs
            results.projection.copy_(linear(kept.hidden.T, d_product.T))

    def _buffer(self, size: int) -> Tensor:
        """(M, size), with zeros behind the tokens."""
        buffer = torch.empty(rounded(self.num_tokens), size, dtype=self.dtype)
        buffer[self.num_tokens :].zero_()
        return buffer
