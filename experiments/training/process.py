"""Settings of the process for torch's speed: threads and the allocator."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_MALLOC_TRIM_THRESHOLD, _MALLOC_MMAP_MAX, _MALLOC_ARENA_MAX = -1, -4, -8  # of glibc's mallopt


def set_up_process(*, num_threads: int | None, device: torch.device) -> None:
    """Set torch's threads (None: its own choice) and, for work on the CPU, the settings of the allocator.

    glibc returns large freed blocks to the system. Every training step frees and allocates the same blocks
    again, and the page faults cost more than many of its computations; freed memory is therefore kept. With
    an accelerator, these blocks are in its own memory.
    """
    if num_threads is not None:
        torch.set_num_threads(num_threads)
    torch.sparse.check_sparse_tensor_invariants.disable()  # the default; torch warns if it is not set
    if device.type == "cpu" and sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl does not have it
        if mallopt is not None:
            mallopt(_MALLOC_MMAP_MAX, 0)
            mallopt(_MALLOC_TRIM_THRESHOLD, 2**31 - 1)
            mallopt(_MALLOC_ARENA_MAX, 1)  # threads take blocks that others have freed, instead of new memory


@contextmanager
def tf32_products(device: torch.device) -> Iterator[None]:
    """Within this, a CUDA device multiplies single-precision matrices with their values rounded to TF32.

    They keep 10 bits of the mantissa and all of the exponent, and sums are in single precision: several times
    faster, and more exact than bfloat16. Training alone is computed so, evaluations and vectors are not, so
    that figures of different devices can be compared.
    """
    if device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
