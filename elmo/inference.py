"""The LSTM stack without a gradient: weights laid out once, nothing kept that a backward pass would need.

Shape legend: L layers with the word vectors as layer 0, D = 2 directions, N packed tokens, R rows, U distinct
types, P projection, H cells.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from elmo.bilstm import BiLstm
from elmo.lstm import FORGET_BIAS, LstmLayer, State

_TOKENS_AT_ONCE = 1024  # whose gates are held at a time; the input products of all of them are one product


class InferenceStack:
    """Computes what `BiLstm.run_packed` computes in evaluation, for weights that do not change any more.

    Args:
        bilstm: the layers, on their device.
        dtype: of the matrix products: the weights' own, or bfloat16; all else is in the weights' own.
    """

    def __init__(self, bilstm: BiLstm, *, dtype: torch.dtype) -> None:
        self._skip_connected = bilstm.skip_connected
        self._layers = [
            [_Direction(layer, direction, dtype) for direction in (0, 1)] for layer in bilstm.lstm_layers()
        ]

    def run_packed(
        self, vectors_UP: Tensor, ids_DN: Tensor, batch_sizes: Sequence[int], state: Sequence[State]
    ) -> tuple[list[Tensor], list[State]]:
        """L tensors (2, N, P) in each direction's reading order, and each row's state after its last step."""
        output = F.embedding(ids_DN, vectors_UP)
        layers, last = [output], []
        for index, (directions, before) in enumerate(zip(self._layers, state, strict=True)):
            given = output
            pairs = zip(*before, strict=True)
            ran = [
                direction.run(x, batch_sizes, h, c)
                for direction, x, (h, c) in zip(directions, given, pairs, strict=True)
            ]
            output, h, c = (torch.stack(parts) for parts in zip(*ran, strict=True))
            last.append((h, c))
            if index > 0 and self._skip_connected:
                output += given
            layers.append(output)
        return layers, last


class _Direction:
    """One direction of one layer; its weights are (outputs, inputs) and contiguous."""

    def __init__(self, layer: LstmLayer, direction: int, dtype: torch.dtype) -> None:
        kernel = layer.kernel.detach()[direction]
        self.input_weight = kernel[: layer.input_size].T.to(dtype).contiguous()
        self.recurrent_weight = kernel[layer.input_size :].T.to(dtype).contiguous()
        self.bias = layer.bias.detach()[direction].clone()
        self.bias.view(4, -1)[2] += FORGET_BIAS
        self.projection = None
        if layer.projection is not None:
            self.projection = layer.projection.detach()[direction].T.to(dtype).contiguous()
        self.cell_clip, self.projection_clip = layer.cell_clip, layer.projection_clip

    def run(
        self, x_NP: Tensor, batch_sizes: Sequence[int], h_RP: Tensor, c_RH: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(N, P) outputs, and (R, P) and (R, H), each row's state after its last step."""
        h_RP, c_RH = h_RP.clone(), c_RH.clone()
        outputs_NP = x_NP.new_empty(len(x_NP), h_RP.shape[1])
        start = stop = 0
        gates = x_NP[:0]
        for step, size in enumerate(batch_sizes):
            if stop == start:
                stop = start + _whole_steps(batch_sizes, step)
                offset = start
                gates = _linear(x_NP[start:stop], self.input_weight).to(x_NP.dtype).add_(self.bias)
            h, c = h_RP[:size], c_RH[:size]
            z = gates[start - offset : start - offset + size].add_(_linear(h, self.recurrent_weight))
            h.copy_(self._step(z, c))
            outputs_NP[start : start + size] = h
            start += size
        return outputs_NP, h_RP, c_RH

    def _step(self, z: Tensor, c: Tensor) -> Tensor:
        """The new output of rows with gates `z` before activation; their cells are updated in place."""
        i, j, f, o = z.chunk(4, dim=1)
        c.mul_(f.sigmoid_()).addcmul_(i.sigmoid_(), j.tanh_())
        if self.cell_clip is not None:
            c.clamp_(-self.cell_clip, self.cell_clip)
        h = torch.tanh(c).mul_(o.sigmoid_())
        if self.projection is None:
            return h
        h = _linear(h, self.projection).to(c.dtype)
        return h if self.projection_clip is None else h.clamp_(-self.projection_clip, self.projection_clip)


def _whole_steps(batch_sizes: Sequence[int], step: int) -> int:
    """The tokens of as many steps, one at least, as are held at once."""
    tokens = batch_sizes[step]
    for size in batch_sizes[step + 1 :]:
        if tokens + size > _TOKENS_AT_ONCE:
            break
        tokens += size
    return tokens


def _linear(x: Tensor, weight: Tensor) -> Tensor:
    """x weight^T, with x cast to the weight's dtype; in single precision on the CPU by oneDNN.

    torch itself gives such products to the BLAS library that it was built with, which on processors of other
    makers can be half as fast.
    """
    x = x.to(weight.dtype)
    if weight.dtype == torch.float32 and weight.device.type == "cpu" and torch.backends.mkldnn.is_available():
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")
        return product
    return F.linear(x, weight)
