"""The part of Ray's public interface that the launcher uses, in its place: each task is a process here."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
given: list[dict[str, Any]] = []
_state = SimpleNamespace(initialized=False)


class RayError(Exception):
    pass


exceptions = SimpleNamespace(RayError=RayError)


def init(*, address: str | None = None, log_to_driver: bool = True) -> None:
    _state.initialized = True


def is_initialized() -> bool:
    return bool(_state.initialized)


def shutdown() -> None:
    _state.initialized = False


def _exit_with(function: Callable[..., int], arguments: tuple[Any, ...]) -> None:
    raise SystemExit(function(*arguments))


def remote(**options: Any) -> Callable[[Callable[..., int]], Any]:
    given.append(options)

    def start(function: Callable[..., int], *arguments: Any) -> Any:
        process = CONTEXT.Process(target=_exit_with, args=(function, arguments))
        process.start()
        return process

    return lambda function: SimpleNamespace(remote=lambda *arguments: start(function, *arguments))


def wait(references: Sequence[Any], *, num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        done = [process for process in references if not process.is_alive()]
        if len(done) >= num_returns:
            return done[:num_returns], [process for process in references if process not in done]
        time.sleep(0.01)
    return [], list(references)


def get(reference: Any) -> int:
    if reference.exitcode < 0:
        raise RayError("The worker died unexpectedly while executing this task.")
    return int(reference.exitcode)


def cancel(reference: Any, *, force: bool) -> None:
    reference.kill()
