"""Modules on the meta device: shapes without memory or initial values, to be filled from a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from elmo.registry import REGISTRY


@contextmanager
def meta_device() -> Iterator[None]:
    """Modules built inside have no memory; `module.to_empty(device=...)` then allocates their parameters."""
    with torch.device("meta"), _NoNormalValues():
        yield


def build_blank(kind: str, node: Mapping[str, Any], **given: Any) -> nn.Module:
    """`REGISTRY.build` on the meta device; raises the same InputError."""
    with meta_device():
        module: nn.Module = REGISTRY.build(kind, node, **given)
    return module


class _NoNormalValues(TorchFunctionMode):
    """Skips normal_(): its first call on the meta device imports torch's decompositions, 0.8 s."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") == "normal_":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)
