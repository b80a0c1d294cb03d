"""The recurrence of a packed LSTM layer and its gradient, by torch's operations: for any device and dtype.

On a CPU, `elmo.bilm.kernels.lstm` computes the same faster.

Shape legend: D = 2 directions, N packed tokens, B rows, P projection (input and output) size, H cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class Steps:
    """The position of each step's rows on the packed axis."""

    def __init__(self, batch_sizes: Sequence[int]) -> None:
        starts = [0]
        for size in batch_sizes:
            starts.append(starts[-1] + size)
        self.spans = [slice(start, start + size) for start, size in zip(starts, batch_sizes, strict=False)]
        self.sizes = list(batch_sizes)
        # rows are sorted by length: those that end at a step are its last ones, which the next step lacks
        next_sizes = [*self.sizes[1:], 0]
        ended = [
            slice(start + next_size, start + size)
            for start, size, next_size in zip(starts, self.sizes, next_sizes, strict=False)
            if size > next_size
        ]
        self._ended = ended[::-1]

    def last(self) -> Tensor:
        """(B,) where each row ends, on the CPU."""
        return torch.cat([torch.arange(rows.start, rows.stop) for rows in self._ended])

    def last_of(self, values: Tensor) -> Tensor:
        """`values` of each row's own last step, on any device without a copy of places to it."""
        return torch.cat([values[:, rows] for rows in self._ended], dim=1)

    def shifted(self, first: Tensor, values: Tensor) -> Tensor:
        """`values` of the previous step at each step, packed; `first` (one entry per row) at step 0."""
        parts = [first[:, : self.sizes[0]]]
        parts += [
            values[:, before.start : before.start + size]
            for before, size in zip(self.spans, self.sizes[1:], strict=False)
        ]
        return torch.cat(parts, dim=1)


class TorchPackedLstm(torch.autograd.Function):
    """The recurrence and its gradient, written by hand because autograd through the loop would be slower.

    Autograd would record every operation of every step, keep a tensor for each, and add one weight gradient
    per step. Here the gates are activated in place, and after the loop of the backward pass one matrix
    product over all steps gives the gradient of each weight matrix.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        x: Tensor,
        kernel: Tensor,
        bias: Tensor,
        projection: Tensor | None,
        h0: Tensor,
        c0: Tensor,
        mask: Tensor | None,
        steps: Steps,
        clips: tuple[float | None, float | None],
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor, Tensor]:
        weight = kernel.to(dtype)
        project = None if projection is None else projection.to(dtype)
        input_size = x.shape[2]
        gates = torch.bmm(x.to(dtype), weight[:, :input_size]) + bias[:, None]
        outputs = x.new_empty(2, x.shape[1], h0.shape[2])
        cells, tanh_cells, hidden = (x.new_empty(2, x.shape[1], c0.shape[2]) for _ in range(3))
        h, c = h0, c0
        for span, size in zip(steps.spans, steps.sizes, strict=True):
            h_in = h[:, :size] if mask is None else h[:, :size] * mask[:, :size]
            gates[:, span].add_(torch.bmm(h_in.to(dtype), weight[:, input_size:]))
            c = _step_cells(gates[:, span], c[:, :size], cells[:, span], clips[0])
            torch.tanh(c, out=tanh_cells[:, span])
            m = torch.mul(gates[:, span].chunk(4, dim=2)[3], tanh_cells[:, span], out=hidden[:, span])
            h = outputs[:, span]
            h.copy_(m if project is None else torch.bmm(m.to(dtype), project))
            if clips[1] is not None:
                h.clamp_(-clips[1], clips[1])
        ctx.save_for_backward(x, kernel, projection, h0, c0, mask, gates, cells, tanh_cells, hidden, outputs)
        ctx.steps, ctx.clips, ctx.dtype = steps, clips, dtype
        h_last, c_last = steps.last_of(outputs), steps.last_of(cells)
        ctx.mark_non_differentiable(h_last, c_last)
        return outputs, h_last, c_last

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, kernel, projection, h0, c0, mask, gates, cells, tanh_cells, hidden, outputs = ctx.saved_tensors
        steps, (cell_clip, projection_clip), dtype = ctx.steps, ctx.clips, ctx.dtype
        # contiguous: low-precision products would copy a transposed operand at every step
        weight_T = kernel.to(dtype).transpose(1, 2)
        recurrent_T = weight_T[:, :, x.shape[2] :].contiguous()
        project_T = None if projection is None else projection.to(dtype).transpose(1, 2).contiguous()
        d_outputs = gradients[
            0
        ].clone()  # the loop adds to it in place; after it, the gradient before clipping
        d_gates = torch.empty_like(gates)
        # a clipped value passes no gradient
        unclipped_outputs = _unclipped(outputs, projection_clip)
        unclipped_cells = _unclipped(cells, cell_clip)
        before = steps.shifted(c0, cells)
        d_h: Tensor = d_outputs[:, :0]
        d_c: Tensor = cells[:, :0]
        for span in reversed(steps.spans):
            d_out = d_outputs[:, span]
            d_out[:, : d_h.shape[1]] += (
                d_h  # only rows that go on after this step get a gradient from the next
            )
            if unclipped_outputs is not None:
                d_out *= unclipped_outputs[:, span]
            d_m = d_out if project_T is None else torch.bmm(d_out.to(dtype), project_T).to(x.dtype)
            d_c = _step_gradient(
                d_m,
                d_c,
                gates[:, span],
                before[:, span],
                tanh_cells[:, span],
                d_gates[:, span],
                None if unclipped_cells is None else unclipped_cells[:, span],
            )
            d_h = torch.bmm(d_gates[:, span].to(dtype), recurrent_T)
            if mask is not None:
                d_h = d_h * mask[:, : d_h.shape[1]]
        # one product over all steps for each weight matrix
        h_before = steps.shifted(h0, outputs)
        if mask is not None:
            h_before *= torch.cat([mask[:, :size] for size in steps.sizes], dim=1)
        inputs = torch.cat([x, h_before], dim=2).to(dtype)
        d_gates_cast = d_gates.to(dtype)
        d_kernel = torch.bmm(inputs.transpose(1, 2), d_gates_cast).to(kernel.dtype)
        d_x = (
            torch.bmm(d_gates_cast, weight_T[:, :, : x.shape[2]]).to(x.dtype)
            if ctx.needs_input_grad[0]
            else None
        )
        d_projection = None
        if projection is not None:
            d_projection = torch.bmm(hidden.to(dtype).transpose(1, 2), d_outputs.to(dtype)).to(kernel.dtype)
        return d_x, d_kernel, d_gates.sum(1), d_projection, *[None] * 6


def _step_cells(z: Tensor, c: Tensor, out: Tensor, clip: float | None) -> Tensor:
    """Activate the four gates `z` in place and write the new, clipped cells to `out`."""
    i, j, f, _ = z.chunk(4, dim=2)
    i.sigmoid_()
    j.tanh_()
    z[:, :, z.shape[2] // 2 :].sigmoid_()
    torch.mul(f, c, out=out).addcmul_(i, j)
    return out if clip is None else out.clamp_(-clip, clip)


def _step_gradient(
    d_m: Tensor,
    d_c: Tensor,
    z: Tensor,
    c_before: Tensor,
    tanh_c: Tensor,
    d_z: Tensor,
    unclipped_c: Tensor | None,
) -> Tensor:
    """Write the gradient of the gates before activation to `d_z`; return the gradient of `c_before`.

    Args:
        d_m: the gradient of sigmoid(o) tanh(c).
        d_c: the gradient of c through the next step, for the rows that the next step has.
        z: the gates after activation.
        c_before, tanh_c: the cells of the previous step, and tanh of this step's cells.
        unclipped_c: mask of the cells that were not clipped; None: none was.
    """
    i, j, f, o = z.chunk(4, dim=2)
    d_i, d_j, d_f, d_o = d_z.chunk(4, dim=2)
    sigmoid_backward, tanh_backward = torch.ops.aten.sigmoid_backward, torch.ops.aten.tanh_backward
    sigmoid_backward.grad_input(d_m * tanh_c, o, grad_input=d_o)
    d_cells = tanh_backward(d_m * o, tanh_c)
    d_cells[:, : d_c.shape[1]] += d_c
    if unclipped_c is not None:
        d_cells *= unclipped_c
    sigmoid_backward.grad_input(d_cells * j, i, grad_input=d_i)
    tanh_backward.grad_input(d_cells * i, j, grad_input=d_j)
    sigmoid_backward.grad_input(d_cells * c_before, f, grad_input=d_f)
    return d_cells.mul_(f)


def _unclipped(values: Tensor, clip: float | None) -> Tensor | None:
    """Mask of the values that clipping left unchanged; None if it changed none, the usual case.

    On an accelerator there is always a mask: looking into it would wait for the device.
    """
    if clip is None:
        return None
    unclipped = values.abs() < clip
    return None if unclipped.device.type == "cpu" and bool(unclipped.all()) else unclipped
