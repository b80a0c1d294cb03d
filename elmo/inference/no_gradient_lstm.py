"""Context layers without a gradient: LSTM weights laid out once, nothing kept for a backward pass.

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

_TOKENS_AT_ONCE = 512  # whose gates are held at a time; the input products of all of them are one product

RunPacked = Callable[[Tensor, Tensor, Sequence[int], State], tuple[list[Tensor], State]]


@functools.singledispatch
def layers_without_gradient(
    context: ContextLayers, *, dtype: torch.dtype, release_weights: bool = False
) -> RunPacked:
    """What computes `context(...)` in evaluation fastest, for weights that do not change any more.

    A kind of context layers that has a faster way than its own forward pass registers it here.

    Args:
        context: the layers, on their device.
        dtype: of the matrix products: the weights' own, or bfloat16; all else is in the weights' own.
        release_weights: let the layers drop the matrices that the result has copies of, to hold them once.
    """
    device = next(context.parameters()).device.type

    def run(
        vectors_UP: Tensor, ids_DN: Tensor, batch_sizes: Sequence[int], state: State
    ) -> tuple[list[Tensor], State]:
        with torch.no_grad(), torch.autocast(device, dtype, enabled=dtype != torch.float32):
            return context.eval()(vectors_UP, ids_DN, batch_sizes, state)

    return run


class NoGradientLstm:
    """Computes what `BiLstm.forward` computes in evaluation; see `layers_without_gradient`."""

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
        c_RH, h_RP = c_RH.clone(), _padded(h_RP)
        cell_output = _padded(torch.zeros_like(c_RH))
        outputs_NP = x_NP.new_empty(len(x_NP), h_RP.shape[1])
        start = stop = 0
        gates = x_NP[:0]
        for step, size in enumerate(batch_sizes):
            if stop == start:
                stop = start + _whole_steps(batch_sizes, step)
                offset = start
                gates = self.from_input(_padded(x_NP[start:stop])).to(x_NP.dtype).add_(self.bias)
            z = gates[start - offset : start - offset + size]
            z += self.from_output(h_RP[: _rounded(size)])[:size]
            self._step(z, c_RH[:size], cell_output[:size])
            outputs_NP[start : start + size] = self._project(cell_output, size)
            h_RP[:size] = outputs_NP[start : start + size]
            start += size
        return outputs_NP, h_RP[:num_rows], c_RH

    def _step(self, z: Tensor, c: Tensor, output: Tensor) -> None:
        """Update the cells of rows with gates `z` before activation, and write what they give out."""
        i, j, f, o = z.chunk(4, dim=1)
        c.mul_(f.sigmoid_()).addcmul_(i.sigmoid_(), self.tanh_(j))
        if self.cell_clip is not None:
            c.clamp_(-self.cell_clip, self.cell_clip)
        self.tanh_(output.copy_(c)).mul_(o.sigmoid_())

    def _project(self, cell_output: Tensor, size: int) -> Tensor:
        """The outputs of the first rows."""
        if self.projection is None:
            return cell_output[:size]
        h = self.projection(cell_output[: _rounded(size)])[:size].to(cell_output.dtype)
        return h if self.projection_clip is None else h.clamp_(-self.projection_clip, self.projection_clip)


def _whole_steps(batch_sizes: Sequence[int], step: int) -> int:
    """The tokens of as many steps, one at least, as are held at once."""
    tokens = batch_sizes[step]
    for size in batch_sizes[step + 1 :]:
        if tokens + size > _TOKENS_AT_ONCE:
            break
        tokens += size
    return tokens


def _rounded(number: int) -> int:
    """A number of rows, rounded up by at most an eighth.

    oneDNN compiles a product for each number of rows that it meets, and keeps it; few are enough this way.
    """
    step = 1 << max(0, number.bit_length() - 4)
    return -(-number // step) * step


def _padded(rows: Tensor) -> Tensor:
    """A copy with zeros behind, up to a rounded number of rows."""
    return F.pad(rows, (0, 0, 0, _rounded(len(rows)) - len(rows)))


def _rough_tanh_(x: Tensor) -> Tensor:
    """tanh in place, in a quarter of torch's time; its error of 1e-7 is far below bfloat16's."""
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)


class Product:
    """x -> x weight, in the weight's dtype; on the CPU by oneDNN, with the weight laid out as it likes best.

    torch itself gives single-precision products to the BLAS library that it was built with, which on
    processors of other makers can be half as fast, and lays a weight out anew for every product. Where
    oneDNN's operators do not serve, torch's own product is used, which is right everywhere.

    Args:
        weight: (inputs, outputs).
    """

    def __init__(self, weight: Tensor) -> None:
        self._dtype = weight.dtype
        self._weight = weight.T.contiguous()
        self._by_onednn = weight.device.type == "cpu" and onednn_multiplies(weight.dtype)
        if self._by_onednn:
            self._weight = torch.ops.mkldnn._reorder_linear_weight(self._weight)

    def __call__(self, x: Tensor) -> Tensor:
        x = x.to(self._dtype)
        if self._by_onednn:
            product: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, None, "none", [], "")
            return product
        return F.linear(x, self._weight)


@functools.cache
def onednn_multiplies(dtype: torch.dtype) -> bool:
    """Whether oneDNN's linear operators serve for a dtype on this CPU: tried once, on a tiny product.

    The operators are private to torch, so that another version may lack them or change their arguments,
    and they refuse bfloat16 on a CPU that has no instructions for it.
    """
    if not torch.backends.mkldnn.is_available():
        return False
    with torch.no_grad():
        x, weight = torch.arange(6.0).view(2, 3).to(dtype), torch.arange(12.0).view(4, 3).to(dtype)
        try:
            laid_out = torch.ops.mkldnn._reorder_linear_weight(weight)
            product = torch.ops.mkldnn._linear_pointwise(x, laid_out, None, "none", [], "")
        except (AttributeError, RuntimeError, TypeError):  # no such operator, or none for this CPU or call
            return False
        # whole numbers below 256: exact in either dtype, whatever the order of the sums
        return torch.equal(product, F.linear(x, weight))
