"""Adagrad for gradients of few rows: a step reads and writes only these, and asks the device for no value.

Shape legend: V rows of a table, R rows of its gradient, P row size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

ROWS_AT_ONCE = 256  # on a CPU: their values stay in its cache from the first operation to the last


class Adagrad(torch.optim.Adagrad):
    """torch's Adagrad, which is the same but slow with sparse gradients: its step looks for equal rows, and
    makes sparse tensors again and again.

    A gradient that says that its rows are distinct, as those of a sampled softmax do, is used as it is; any
    other one is coalesced first. Options and state are torch's.
    """

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of all parameters; those with gradients of rows first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        apart: list[tuple[Tensor, Tensor]] = []
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is not None and gradient.is_sparse and gradient.sparse_dim() == 1:
                    self._step_rows(parameter, gradient, group)
                    apart.append((parameter, gradient))
                    parameter.grad = None  # torch's step leaves it out
        super().step()
        for parameter, gradient in apart:
            parameter.grad = gradient
        return loss

    @torch.no_grad()
    def _step_rows(self, parameter: Tensor, gradient: Tensor, options: dict[str, Any]) -> None:
        if options["weight_decay"] != 0:
            raise RuntimeError("weight_decay option is not compatible with sparse gradients")  # torch's words
        state, rate = self.state[parameter], options["lr"]
        state["step"] += 1
        if options["lr_decay"] != 0:
            rate = rate / (1 + (float(state["step"]) - 1) * options["lr_decay"])
        gradient = gradient if gradient.is_coalesced() else gradient.coalesce()
        rows_R, values_RP = gradient._indices()[0], gradient._values()
        size = ROWS_AT_ONCE if parameter.device.type == "cpu" else max(1, len(rows_R))
        for rows, values in zip(rows_R.split(size), values_RP.split(size), strict=True):
            values = -values if options["maximize"] else values
            sums = state["sum"].index_select(0, rows).addcmul_(values, values)
            state["sum"].index_copy_(0, rows, sums)
            change = torch.div(values, sums.sqrt_().add_(options["eps"]), out=sums).mul_(-rate)
            parameter.index_add_(0, rows, change)
