"""The memory that a training will need, estimated before its first step, and the memory that there is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from elmo.errors import InputError, reason_of
from experiments.io.environment import peak_memory_bytes
from experiments.training.trainer import Trainer

# On a CPU, peaks of six models of 2.6 to 105 million parameters were 0.93 to 1.41 times the estimate: a run
# whose estimate is this many times the memory would not fit.
BEYOND_DOUBT = 1.2
LESS = (
    "choose a smaller encoder or vocabulary.max_size, or lower trainer.batch_size (trainer.accumulate_batches"
    " makes up for it)"
)
_ONE_VALUE = (
    "Adagrad",
    "RMSprop",
    "SGD",
)  # optimizers that keep one value for each weight; the others keep two
_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def estimated_bytes(trainer: Trainer) -> int:
    """An estimate of the peak: weights, gradients, the optimizer's values, the activations of a batch.

    On the CPU, with the memory that the process has taken so far, the weights included.
    """
    trained = sum(parameter.numel() * parameter.element_size() for parameter in trainer.parameters)
    copies = 1 + (1 if type(trainer.optimizer).__name__ in _ONE_VALUE else 2)
    if trainer.device.type == "cpu":
        taken = _resident_bytes()
    else:
        taken = sum(
            tensor.numel() * tensor.element_size() for tensor in trainer.training.model.state_dict().values()
        )
    return (
        taken + copies * trained + trainer.training.reports.activation_bytes(trainer.training.units_per_batch)
    )


def device_bytes(device: torch.device) -> int | None:
    """The memory of a device that processes can share, in bytes; None where it is not known."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    if device.type == "mps":
        return torch.mps.recommended_max_memory()
    if device.type != "cpu":
        return None
    limits = [_read_limit(path) for path in _CGROUP_LIMITS]
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(limit for limit in (physical, *limits) if limit is not None)


def check_memory(trainer: Trainer) -> None:
    """InputError if the training needs far more memory than its device has."""
    needed, there = estimated_bytes(trainer), device_bytes(trainer.device)
    if there is not None and needed > BEYOND_DOUBT * there:
        raise InputError(
            f"estimated memory {gibibytes(needed)}, but {trainer.device} has {gibibytes(there)}: {LESS};"
            " trainer.check_memory=false starts it all the same"
        )


@contextmanager
def told_out_of_memory(device: torch.device, estimate: float | None = None) -> Iterator[None]:
    """Within the block, memory that the system or a device refuses is an InputError of one line.

    Args:
        device: of the training.
        estimate: of the memory that it needs, in bytes; None: it is not built yet.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        there = device_bytes(device)
        needed = "" if estimate is None else f"; the estimate was {gibibytes(estimate)}"
        has = "" if there is None else f"; {device} has {gibibytes(there)}"
        raise InputError(f"out of memory: {reason_of(error)}{needed}{has}: {LESS}") from error


def _is_out_of_memory(error: Exception) -> bool:
    """Whether it is CUDA's, Python's, or one of the CPU's allocator, of Metal or a library: no own types."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return any(words in str(error) for words in ("can't allocate memory", "out of memory", "bad_alloc"))


def gibibytes(num_bytes: float) -> str:
    """As text."""
    return f"{num_bytes / 2**30:,.1f} GiB"


def _resident_bytes() -> int:
    """The memory that the process has now; its peak where only that is known."""
    sizes = Path("/proc/self/statm")
    if sizes.exists():
        return int(sizes.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return peak_memory_bytes()


def _read_limit(path: Path) -> int | None:
    """The limit of a container's memory; None where there is none."""
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None
