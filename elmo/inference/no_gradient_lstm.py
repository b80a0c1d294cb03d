"""Context layers without a gradient: LSTM weights prepacked for oneDNN, nothing kept for a backward pass.

Shape legend: L layers with the word vectors as layer 0, D = 2 directions, N packed tokens, R rows, U distinct
types, P projection, H cells.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from elmo.bilm.bilm import ContextLayers, State
from elmo.bilm.lstm import FORGET_BIAS, BiLstm, LstmLayer
from elmo.bilm.products import Product, padded, rounded

_TOKENS_AT_ONCE = 512  # their products with the input are one matrix product; bounds the memory of the gates

RunPacked = Callable[[Tensor, Tensor, Sequence[int], State], tuple[list[Tensor], State]]


@functools.singledispatch
def layers_without_gradient(
    context: ContextLayers, *, dtype: torch.dtype, release_weights: bool = False
) -> RunPacked:
    """The fastest function that computes `context(...)` in evaluation mode, for weights that no longer
    change.

    The default is the forward pass itself. A class of context layers with a faster way registers it here.

    Args:
        context: the layers, on their device.
        dtype: of the matrix products, the weights' own or bfloat16; everything else uses the weights' own.
        release_weights: delete the matrices of `context` that the result has copied, to keep only one copy.
    """
    device = next(context.parameters()).device.type

    def run(
        vectors_UP: Tensor, ids_DN: Tensor, batch_sizes: Sequence[int], state: State
    ) -> tuple[list[Tensor], State]:
        with torch.no_grad(), torch.autocast(device, dtype, enabled=dtype != torch.float32):
            return context.eval()(vectors_UP, ids_DN, batch_sizes, state)

    return run


class NoGradientLstm:
    """`BiLstm.forward` in evaluation mode, faster; see `layers_without_gradient`.

    The directions run one after the other, as oneDNN's linear operator takes a single, two-dimensional
    weight. The gates of a few steps share one product with the input; the product with the output of the
    previous step cannot be shared.
    """

    def __init__(self, bilstm: BiLstm, *, dtype: torch.dtype, release_weights: bool = False) -> None:
        self._skip_connected = bilstm.skip_connected
        self._layers: list[list[_Direction]] = []
        for layer in bilstm.layers:
            assert isinstance(layer, LstmLayer)
            self._layers.append([_Direction(layer, direction, dtype) for direction in (0, 1)])
            if release_weights:
                layer.kernel = layer.projection = None  # type: ignore[assignment]

    def __call__(
        self, vectors_UP: Tensor, ids_DN: Tensor, batch_sizes: Sequence[int], state: State
    ) -> tuple[list[Tensor], State]:
        """L tensors (2, N, P) in each direction's reading order, and each row's state after its last step."""
        output = F.embedding(ids_DN, vectors_UP)
        layers: list[Tensor] = [output]
        last: State = []
        for index, directions in enumerate(self._layers):
            given = output
            pairs = zip(state[2 * index], state[2 * index + 1], strict=True)
            ran = [
                direction.run(x, batch_sizes, h, c)
                for direction, x, (h, c) in zip(directions, given, pairs, strict=True)
            ]
            output, h, c = (torch.stack(parts) for parts in zip(*ran, strict=True))
            last += [h, c]
            if index > 0 and self._skip_connected:
                output += given
            layers.append(output)
        return layers, last


layers_without_gradient.register(BiLstm)(NoGradientLstm)


class _Direction:
    """One direction of one layer, with its own copies of the weights."""

    def __init__(self, layer: LstmLayer, direction: int, dtype: torch.dtype) -> None:
        kernel = layer.kernel.detach()[direction].to(dtype)
        self.from_input = Product(kernel[: layer.input_size])
        self.from_output = Product(kernel[layer.input_size :])
        self.bias = layer.bias.detach()[direction].clone()
        self.bias.view(4, -1)[2] += FORGET_BIAS
        self.projection = None
        if layer.projection is not None:
            self.projection = Product(layer.projection.detach()[direction].to(dtype))
        self.cell_clip, self.projection_clip = layer.cell_clip, layer.projection_clip
        self.tanh_ = torch.tanh_ if dtype == torch.float32 else _rough_tanh_

    def run(
        self, x_NP: Tensor, batch_sizes: Sequence[int], h_RP: Tensor, c_RH: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(N, P) outputs, and (R, P) and (R, H), each row's state after its last step."""
        num_rows = len(h_RP)
        c_RH, h_RP = c_RH.clone(), padded(h_RP)
        cell_output = padded(torch.zeros_like(c_RH))
        outputs_NP = x_NP.new_empty(len(x_NP), h_RP.shape[1])
        start = stop = 0
        gates = x_NP[:0]
        for step, size in enumerate(batch_sizes):
            if stop == start:
                stop = start + _whole_steps(batch_sizes, step)
                offset = start
                gates = self.from_input(padded(x_NP[start:stop])).to(x_NP.dtype).add_(self.bias)
            z = gates[start - offset : start - offset + size]
            z += self.from_output(h_RP[: rounded(size)])[:size]
            self._step(z, c_RH[:size], cell_output[:size])
            outputs_NP[start : start + size] = self._project(cell_output, size)
            h_RP[:size] = outputs_NP[start : start + size]  # rows that have ended keep their last state
            start += size
        return outputs_NP, h_RP[:num_rows], c_RH

    def _step(self, z: Tensor, c: Tensor, output: Tensor) -> None:
        """Update the cells `c` from the gates `z` before activation; write o tanh(c) to `output`."""
        i, j, f, o = z.chunk(4, dim=1)
        c.mul_(f.sigmoid_()).addcmul_(i.sigmoid_(), self.tanh_(j))
        if self.cell_clip is not None:
            c.clamp_(-self.cell_clip, self.cell_clip)
        self.tanh_(output.copy_(c)).mul_(o.sigmoid_())

    def _project(self, cell_output: Tensor, size: int) -> Tensor:
        """The projected and clipped outputs of the first `size` rows."""
        if self.projection is None:
            return cell_output[:size]
        h = self.projection(cell_output[: rounded(size)])[:size].to(cell_output.dtype)
        return h if self.projection_clip is None else h.clamp_(-self.projection_clip, self.projection_clip)


def _whole_steps(batch_sizes: Sequence[int], step: int) -> int:
    """The number of tokens of the steps from `step` on that are computed at once; at least one whole step."""
    tokens = batch_sizes[step]
    for size in batch_sizes[step + 1 :]:
        if tokens + size > _TOKENS_AT_ONCE:
            break
        tokens += size
    return tokens


def _rough_tanh_(x: Tensor) -> Tensor:
    """tanh(x) = 2 sigmoid(2 x) - 1, in place: a quarter of torch.tanh's time; its error of 1e-7 is far below
    bfloat16's."""
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)
