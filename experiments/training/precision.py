"""The precision of a training's matrix products, as its device has it."""

from __future__ import annotations

import functools
import logging
import platform
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch

from elmo.bilm.products import onednn_multiplies

LOG = logging.getLogger(__name__)
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
_CPU_FLAGS = Path("/proc/cpuinfo")
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # of x86, and of Arm


def choose_dtype(precision: str, device: torch.device, *, key: str = "trainer.precision") -> torch.dtype:
    """The type of the matrix products on a device.

    Args:
        precision: fp32; bf16, in whose place a device that would only emulate it gets fp32, with a warning;
            or auto: bf16 on a CUDA device that has it, else fp32.
        key: of the config, for the warning.
    """
    if precision == "auto":
        precision = "bf16" if device.type == "cuda" and has_bfloat16(device) else "fp32"
    if precision == "bf16" and not has_bfloat16(device):
        LOG.warning(
            "%s=bf16: %s has no instructions for it; fp32 is used instead",
            key,
            "this processor" if device.type == "cpu" else device,
        )
        precision = "fp32"
    return PRECISIONS[precision]


def products_in(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[None]:
    """A context in which matrix products have a dtype; with torch.float32 nothing is cast."""
    # MPS warns of an autocast to float32, even of one that is switched off.
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 by instructions of its own."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)  # Ampere
    return device.type != "cpu" or _cpu_has_bfloat16()


@functools.cache
def _cpu_has_bfloat16() -> bool:
    """What Linux tells of the processor, and whether oneDNN's operators take it.

    oneDNN also emulates bfloat16: on a processor with AVX-512 alone, a product takes three times as long as
    in fp32, and with AVX2 torch's own one forty times.
    """
    if _CPU_FLAGS.exists() and platform.machine().lower() in ("x86_64", "amd64", "aarch64", "arm64"):
        flags = next(
            (line for line in _CPU_FLAGS.read_text().splitlines() if line.startswith(("flags", "Features"))),
            "",
        )
        if not _BFLOAT16_FLAGS & set(flags.split()):
            return False
    return onednn_multiplies(torch.bfloat16)
