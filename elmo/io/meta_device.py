"""Modules on the meta device: shapes without memory or initial values, which a file is going to fill."""

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
    """What is built inside has shapes alone; `module.to_empty(device=...)` then allocates its parameters."""
    with torch.device("meta"), _NoNormalValues():
        yield


def build_blank(kind: str, node: Mapping[str, Any], **given: Any) -> nn.Module:
    """The module that a config node describes, on the meta device. Raises InputError as `REGISTRY.build`."""
    with meta_device():
        module: nn.Module = REGISTRY.build(kind, node, **given)
    return module


class _NoNormalValues(TorchFunctionMode):
    """Skips normal_(): on the meta device the first one imports torch's decompositions, 0.8 s for nothing."""

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
