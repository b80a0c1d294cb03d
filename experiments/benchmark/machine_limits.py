"""The machine's limits, measured in this process: FLOP/s of matrix products, and memory bandwidth."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from elmo.bilm.products import Product

_SIZE = 2048  # of the square matrices: large enough for the peak, small enough to be quick
_READ_BYTES = 512 << 20  # far more than any cache of a processor
_REPEATS = 10


def product_peak(dtype: torch.dtype, device: torch.device) -> float:
    """The peak FLOP/s of a large matrix product, by torch's own library or by the embedder's `Product`."""
    left, right = (torch.randn(_SIZE, _SIZE, device=device).to(dtype) for _ in range(2))
    prepacked = Product(right)
    ways: list[Callable[[], Tensor]] = [lambda: left @ right, lambda: prepacked(left)]
    return 2 * _SIZE**3 / min(fastest(way, device) for way in ways)


def read_bandwidth(device: torch.device) -> float:
    """The peak bytes per second of reading a large tensor once."""
    values = torch.ones(_READ_BYTES // 4, device=device)
    return _READ_BYTES / fastest(values.sum, device)


def fastest(action: Callable[[], object], device: torch.device) -> float:
    """Seconds of the fastest of several runs, after one warm-up run."""
    action()
    return min(seconds(action, device) for _ in range(_REPEATS))


def seconds(action: Callable[[], object], device: torch.device) -> float:
    """Seconds of one run, until the device has finished."""
    start = time.perf_counter()
    action()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter() - start
