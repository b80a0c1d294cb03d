"""Matrix products without a gradient by the fastest library there is."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor


class Product:
    """x -> x weight, in the weight's dtype; on the CPU by oneDNN, with the weight prepacked (oneDNN layout).

    torch computes single-precision products with the BLAS library that it was built with. That library may be
    half as fast on processors of another manufacturer, and it packs the weight for every product. If oneDNN's
    operators do not work here, torch's own product is used.

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


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x weight^T + bias for a weight that is used once or changes after each use, hence not prepacked.

    Args:
        x: (rows, inputs); on a CPU best with a number of rows of `rounded`, as oneDNN compiles and keeps a
            kernel for each.
        weight: (outputs, inputs); either operand may be a transposed view.
        bias: (outputs,), of the dtype of both; None: no bias.
    """
    if x.device.type == "cpu" and onednn_multiplies(x.dtype):
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return product
    return F.linear(x, weight, bias)


def rounded(number: int) -> int:
    """A number of rows, rounded up by at most an eighth, so that there are few such numbers."""
    step = 1 << max(0, number.bit_length() - 4)
    return -(-number // step) * step


def padded(rows: Tensor) -> Tensor:
    """A copy, padded with rows of zeros to a rounded number of rows."""
    return F.pad(rows, (0, 0, 0, rounded(len(rows)) - len(rows)))


@functools.cache
def onednn_multiplies(dtype: torch.dtype) -> bool:
    """Whether oneDNN's linear operators work for a dtype on this CPU; tested once, on a tiny product.

    The operators are private to torch: another version may lack them or change their arguments. They also
    refuse bfloat16 on a CPU without instructions for it.
    """
    if not torch.backends.mkldnn.is_available():
        return False
    with torch.no_grad():
        x, weight = torch.arange(6.0).view(2, 3).to(dtype), torch.arange(12.0).view(4, 3).to(dtype)
        try:
            prepacked = torch.ops.mkldnn._reorder_linear_weight(weight)
            product = torch.ops.mkldnn._linear_pointwise(x, prepacked, None, "none", [], "")
        except (AttributeError, RuntimeError, TypeError):  # no such operator, or not for this CPU or call
            return False
        # whole numbers below 256 are exact in either dtype, in any order of summation
        return torch.equal(product, F.linear(x, weight))
