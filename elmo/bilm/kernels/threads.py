"""Two computations side by side, each with half of torch's threads."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from elmo.bilm.kernels.library import torch_library

T = TypeVar("T")


def side_by_side(function: Callable[[int], T]) -> tuple[T, T]:
    """The results of `function(0)` and `function(1)`, which run at the same time if torch has two threads.

    The two directions of a biLM do not need each other. Threads that share a small matrix product meet at its
    end, thousands of times in a step; two threads with a direction each meet once.
    """
    total = torch.get_num_threads()
    if total == 1 or not _set_own_threads(total):
        return function(0), function(1)
    each = total // 2
    second = _worker(os.getpid()).submit(_run, function, each)
    _set_own_threads(each)
    try:
        first = function(0)
    finally:
        _set_own_threads(total)
        second.exception()  # waits
    return first, second.result()


@functools.cache
def _worker(process: int) -> ThreadPoolExecutor:
    """One worker for each process: a fork does not copy threads."""
    return ThreadPoolExecutor(1, thread_name_prefix="second-direction")


def _run(function: Callable[[int], T], num_threads: int) -> T:
    torch.get_num_threads()  # a thread's first question sets its number to that of the process
    _set_own_threads(num_threads)
    with torch.no_grad():  # a setting of each thread
        return function(1)


def _set_own_threads(number: int) -> bool:
    """Set the number of threads of this thread's computations; whether that is possible here.

    torch.set_num_threads is one for the whole process, and forgets all products that oneDNN has compiled.
    """
    openmp, mkl = _setters()
    if openmp is None:
        return False
    openmp(number)
    if mkl is not None:
        mkl(number)
    return True


@functools.cache
def _setters() -> tuple[Callable[[int], object] | None, Callable[[int], object] | None]:
    """OpenMP's and MKL's functions that set the calling thread's number; None for one that is not there."""
    library = torch_library()
    openmp = getattr(library, "omp_set_num_threads", None)
    mkl = getattr(library, "MKL_Set_Num_Threads_Local", None)
    for setter in (openmp, mkl):
        if setter is not None:
            setter.argtypes = [ctypes.c_int]
    return openmp, mkl
