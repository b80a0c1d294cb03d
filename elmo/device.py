"""From the name of a device to a torch device."""

from __future__ import annotations

import re

import torch

from elmo.errors import InputError


def choose_device(name: str) -> torch.device:
    """The device of a name: `auto` (an accelerator if there is one), `cpu`, `cuda`, `cuda:<number>` or `mps`.

    Raises:
        InputError: the name is another one, or this machine does not have the device.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", name):
        raise InputError(f"device: expected auto, cpu, cuda, cuda:<number> or mps, got {name!r}")
    device = torch.device(name)
    count = torch.cuda.device_count() if device.type == "cuda" else 1
    if not available[device.type] or (device.index or 0) >= count:
        raise InputError(f"device: {name} is not available here; use auto or cpu")
    return device
