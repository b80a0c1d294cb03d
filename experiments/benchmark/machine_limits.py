"""What this machine can do at best, measured in this process: matrix products and reading of memory."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from elmo.inference.no_gradient_lstm import Product

_SIZE = 2048  # of the square matrices: large enough for the peak, small enough for a moment
_READ_BYTES = 512 << 20  # far more than any cache
_REPEATS = 10


def product_peak(dtype: torch.dtype, device: torch.device) -> float:
    """The most FLOP/s of a large matrix product: by torch's own library or as the embedder does it."""
    left, right = (torch.randn(_SIZE, _SIZE, device=device).to(dtype) for _ in range(2))
    laid_out = Product(right)
    ways: list[Callable[[], Tensor]] = [lambda: left @ right, lambda: laid_out(left)]
    return 2 * _SIZE**3 / min(fastest(way, device) for way in ways)


def read_bandwidth(device: torch.device) -> float:
    """The most bytes per second at which a large tensor is read, once through."""
    values = torch.ones(_READ_BYTES // 4, device=device)
    return _READ_BYTES / fastest(values.sum, device)


def fastest(action: Callable[[], object], device: torch.device) -> float:
    """Seconds of the fastest of several runs, after one that does not count."""
    action()
    return min(seconds(action, device) for _ in range(_REPEATS))


def seconds(action: Callable[[], object], device: torch.device) -> float:
    """Seconds of one run, until the device is done."""
    start = time.perf_counter()
    action()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter() - start
