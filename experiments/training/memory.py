"""The memory that a training will need, estimated before its first step, and the memory that there is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from elmo.errors import InputError, reason_of
from experiments.io.environment import peak_memory_bytes
from experiments.training.optimization.optimizers import SparseModule
from experiments.training.trainer import Trainer

# On a CPU, estimates were 0.94 to 1.07 times the peak (`experiments.benchmark train`: all sizes with
# batching=stream, tiny and small with sentences): a run whose estimate is this many times the memory would
# not fit.
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
_LOADED_LATER = 24 * 2**20  # bytes: libraries and compiled products of a first step
_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def estimated_bytes(trainer: Trainer) -> int:
    """An estimate of the peak: what the process or the device has already, and what `parts` come to."""
    return sum(parts_of_estimate(trainer).values())


def parts_of_estimate(trainer: Trainer) -> dict[str, int]:
    """The parts of the estimated peak in bytes, before the first step.

    `taken` is all that the process has on a CPU, the weights and what the optimizer made at its start
    included; on an accelerator the weights alone.
    """
    training, parameters = trainer.training, trainer.parameters
    is_cpu = trainer.device.type == "cpu"
    weights = _bytes(training.model.state_dict().values())
    values = 1 if type(trainer.optimizer).__name__ in _ONE_VALUE else 2
    kept = _bytes(v for state in trainer.optimizer.state.values() for v in state.values() if is_cpu)
    sparse = {id(p) for module in _sparse_modules(training.model) for p in module.parameters()}
    dense = [parameter for parameter in parameters if id(parameter) not in sparse]
    return {
        "taken": _resident_bytes() + _LOADED_LATER if is_cpu else weights,
        "gradients": _bytes(dense),
        "optimizer": max(0, values * _bytes(parameters) - kept) + max(map(_one, dense), default=0),
        "activations": training.reports.activation_bytes(training.units_per_batch),
    }


def _sparse_modules(model: nn.Module) -> Iterator[nn.Module]:
    """Those whose gradients hold only the rows that were used; these rows are counted as activations."""
    return (m for m in model.modules() if isinstance(m, SparseModule) and m.has_sparse_gradient)


def _one(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(map(_one, tensors))


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
