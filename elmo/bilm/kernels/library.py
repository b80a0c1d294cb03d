"""Compiles the C kernels for this machine's processor, once, and loads them.

A compiled file for one processor may not run on another, and a package would need one for each of them. The
sources are small: compiling them takes a second. Where there is no C compiler, everything is computed by
torch's own operations, at equal numbers and a lower speed.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from elmo.files import atomic_write, default_cache_path

SWITCH = "ELMO_KERNELS"  # 0: no kernels are compiled or used
_SOURCES = ("kernels.c", "cells.h", "highway.h", "softmax.h", "steps.h", "windows.h", "vectors.h")
_FLAGS = ("-O3", "-fPIC", "-shared", "-fno-math-errno", "-fno-trapping-math", "-w")
_FOR_THIS_PROCESSOR = (("-march=native", "-fopenmp"), ("-march=native",), ("-mcpu=native",), ())
_MOST_SECONDS = 60
_SUFFIXES = {torch.float32: "float", torch.bfloat16: "bfloat16"}


@functools.cache
def kernels() -> ctypes.CDLL | None:
    """The compiled kernels; None where they cannot be compiled, do not work, or are switched off."""
    if os.environ.get(SWITCH, "1") == "0" or sys.byteorder != "little":
        return None
    compiler = _find_compiler()
    if compiler is None:
        return None
    try:
        library = ctypes.CDLL(str(_compiled(compiler)))
    except (OSError, subprocess.SubprocessError):
        return None
    return library if _works(library) else None


def use_kernels(*tensors: Tensor | None, dtype: torch.dtype = torch.float32) -> bool:
    """Whether the kernels can compute with these tensors: float32, in the memory of a CPU.

    Args:
        dtype: of the matrix products, float32 or bfloat16.
    """
    plain = all(t is None or (t.device.type == "cpu" and t.dtype == torch.float32) for t in tensors)
    return plain and dtype in _SUFFIXES and not torch.compiler.is_compiling() and kernels() is not None


def kernel(name: str, dtype: torch.dtype) -> Callable[..., None]:
    """The kernel of this name for products of a dtype."""
    function: Callable[..., None] = getattr(kernels(), f"{name}_{_SUFFIXES[dtype]}")
    return function


@functools.cache
def torch_library() -> ctypes.CDLL | None:
    """torch's own library for the CPU, with the BLAS library and OpenMP that it computes with."""
    for name in ("libtorch_cpu.so", "libtorch_cpu.dylib"):
        path = Path(torch.__file__).parent / "lib" / name
        if path.exists():
            return ctypes.CDLL(str(path))
    return None


@functools.cache
def blas_product() -> ctypes.c_void_p | None:
    """The address of SGEMM in the BLAS library that torch computes with; None if it is not to be found."""
    function = getattr(torch_library(), "sgemm_", None)
    return None if function is None else ctypes.cast(function, ctypes.c_void_p)


def pointer(tensor: Tensor | None, offset: int = 0) -> ctypes.c_void_p | None:
    """The address of a contiguous tensor's value number `offset`; NULL for None."""
    if tensor is None:
        return None
    address = ctypes.c_void_p(tensor.data_ptr() + offset * tensor.element_size())
    address.owner = tensor  # type: ignore[attr-defined]  # the memory lives as long as the address
    return address


def softmax_in_place(scores_KC: Tensor) -> Tensor:
    """Turn finite scores into their softmax; returns (K,) the logarithms of the normalizers."""
    normalizer_K = scores_KC.new_empty(len(scores_KC))
    library = kernels()
    assert library is not None
    sizes = map(ctypes.c_int64, scores_KC.shape)
    library.softmax_rows(*sizes, pointer(scores_KC), pointer(normalizer_K), torch.get_num_threads())
    return normalizer_K


def _find_compiler() -> list[str] | None:
    given = shlex.split(os.environ.get("CC", ""))
    for command in (given, ["cc"], ["gcc"], ["clang"]):
        if command and shutil.which(command[0]):
            return command
    return None


def _compiled(compiler: list[str]) -> Path:
    """The file of the compiled kernels, from the cache if it is there."""
    here = Path(__file__).parent
    digest = hashlib.sha256("\0".join([*compiler, *_FLAGS, _processor()]).encode())
    for name in _SOURCES:
        digest.update((here / name).read_bytes())
    path = default_cache_path() / "kernels" / f"{digest.hexdigest()[:20]}.so"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as aside:
            _compile(compiler, here / _SOURCES[0], aside)
    return path


def _compile(compiler: list[str], source: Path, target: Path) -> None:
    """Compile for this processor, with OpenMP if the compiler has it; the last error, if none of it works."""
    for index, flags in enumerate(_FOR_THIS_PROCESSOR):
        command = [*compiler, *_FLAGS, *flags, str(source), "-o", str(target)]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=_MOST_SECONDS)
            return
        except subprocess.CalledProcessError:
            if index == len(_FOR_THIS_PROCESSOR) - 1:
                raise


def _processor() -> str:
    """What a compiled file depends on: a home directory may be shared by different processors."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return f"{platform.machine()} {platform.processor()} {platform.release()}"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    kept = {line for line in lines if line.startswith(("flags", "Features", "model name", "CPU part"))}
    return platform.machine() + "".join(sorted(kept))


def _works(library: ctypes.CDLL) -> bool:
    """Whether a tiny computation is what torch computes."""
    size = 19  # not a multiple of the lanes
    gates = torch.linspace(-3, 3, 4 * size)
    expected = torch.sigmoid(gates[:size]) * torch.tanh(gates[size : 2 * size])
    zeros, cells, rest = torch.zeros(4 * size), torch.empty(size), torch.empty(2, size)
    buffers = (gates, zeros, zeros, zeros, cells, rest[0], rest[1])
    try:
        library.cells_forward_float(1, size, *map(pointer, buffers), ctypes.c_float(0), 1)
    except AttributeError:
        return False
    return torch.allclose(cells, expected, atol=1e-6)
