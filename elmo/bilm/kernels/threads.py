"""Two computations side by side, each with half of torch's threads."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


def side_by_side(function: Callable[[int], T]) -> tuple[T, T]:
    """The results of `function(0)` and `function(1)`, which run at the same time if torch has two threads.

    The two directions of a biLM do not need each other. Threads that share a small matrix product meet at its
    end, thousands of times in a step; two threads with a direction each meet once.
    """
    total = torch.get_num_threads()
    if total == 1:
        return function(0), function(1)
    each = total // 2
    second = _worker(os.getpid()).submit(_run, function, each)
    torch.set_num_threads(each)
    try:
        first = function(0)
    finally:
        second.exception()  # waits: torch's number of threads is partly one of the whole process
        torch.set_num_threads(total)
    return first, second.result()


@functools.cache
def _worker(process: int) -> ThreadPoolExecutor:
    """One worker for each process: a fork does not copy threads."""
    return ThreadPoolExecutor(1, thread_name_prefix="second-direction")


def _run(function: Callable[[int], T], num_threads: int) -> T:
    torch.set_num_threads(num_threads)
    with torch.no_grad():  # a setting of each thread
        return function(1)
