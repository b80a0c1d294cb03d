"""Settings of this process that decide how fast torch runs in it."""

from __future__ import annotations

import ctypes
import sys

import torch

from elmo.errors import InputError

_MALLOC_TRIM_THRESHOLD, _MALLOC_MMAP_MAX = -1, -4  # of glibc's mallopt


def set_up_process(*, num_threads: int | None) -> None:
    """Set torch's threads (None: its own choice) and keep freed memory for the next step.

    glibc gives large blocks back to the system when they are freed; a training step frees and takes the same
    ones again, and the page faults cost more than many of its computations.
    """
    if num_threads is not None:
        torch.set_num_threads(num_threads)
    torch.sparse.check_sparse_tensor_invariants.disable()  # the default; unsaid, torch warns of it
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if mallopt is not None:
            mallopt(_MALLOC_MMAP_MAX, 0)
            mallopt(_MALLOC_TRIM_THRESHOLD, 2**31 - 1)


def choose_device(name: str) -> torch.device:
    """The device of a name; `auto` is the best there is. Raises InputError for one that is not there."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    device = torch.device(name)
    count = torch.cuda.device_count() if device.type == "cuda" else 1
    if not available[device.type] or (device.index or 0) >= count:
        raise InputError(f"device: {name} is not available here; use auto or cpu")
    return device
