"""A highway layer and its gradient on a CPU: products by oneDNN, the rest by C kernels.

Shape legend: U words, F size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from elmo.bilm.kernels.library import kernel, pointer
from elmo.bilm.products import linear


class CpuHighway(torch.autograd.Function):
    """See `elmo.bilm.char_cnn.Highway`.

    Args:
        x_UF: float32; a number of words that is rounded needs fewer compiled products.
        weights: weight and bias of the carry gate, weight and bias of the transform.
        dtype: of the matrix products.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, x_UF: Tensor, dtype: torch.dtype, *weights: Tensor
    ) -> Tensor:
        carry_weight, carry_bias, transform_weight, transform_bias = weights
        x_UF = x_UF.contiguous()
        cast_UF = x_UF.to(dtype)
        gate_UF = linear(cast_UF, carry_weight.to(dtype))
        relu_UF = linear(cast_UF, transform_weight.to(dtype))
        y_UF = torch.empty_like(x_UF)
        given = (x_UF, gate_UF, relu_UF, carry_bias, transform_bias, y_UF)
        kernel("highway_forward", dtype)(*x_UF.shape, *map(pointer, given), torch.get_num_threads())
        ctx.save_for_backward(x_UF, gate_UF, relu_UF, carry_weight, transform_weight)
        return y_UF

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x_UF, gate_UF, relu_UF, *weights = ctx.saved_tensors
        dtype = gate_UF.dtype
        d_x_UF, *d_products = torch.empty_like(x_UF), torch.empty_like(gate_UF), torch.empty_like(gate_UF)
        given = (gradients[0].contiguous(), x_UF, gate_UF, relu_UF, *d_products, d_x_UF)
        kernel("highway_backward", dtype)(*x_UF.shape, *map(pointer, given), torch.get_num_threads())
        cast_UF, d_weights = x_UF.to(dtype), list[Tensor]()
        for weight, d_product_UF in zip(weights, d_products, strict=True):
            d_bias = x_UF.new_zeros(len(weight))
            kernel("add_rows", dtype)(*x_UF.shape, pointer(d_product_UF), pointer(d_bias))
            d_weights += [linear(d_product_UF.T, cast_UF.T).to(weight.dtype), d_bias]
            d_x_UF += linear(d_product_UF, weight.to(dtype).T)
        return d_x_UF, None, *d_weights
