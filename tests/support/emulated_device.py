"""A second device where there is none: its tensors have values, and do not mix with those of the CPU.

They say that they are on the meta device, hold their values in a tensor of the CPU, and compute there, so
that results equal the CPU's. As on an accelerator, an operation on tensors of both devices is an error; as on
MPS, float64 is, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

EMULATED = torch.device("meta")
_INDEXED = ("aten::index", "aten::index_put_", "aten::_index_put_impl_")  # by places that may be on the CPU
_WAITS = (  # operations whose result, or its shape, the host must know
    "aten::_local_scalar_dense",
    "aten::equal",
    "aten::is_nonzero",
    "aten::masked_select",
    "aten::nonzero",
    "aten::repeat_interleave",
    "aten::_unique2",
    "aten::unique_consecutive",
    "aten::unique_dim",
)
_CONSTRUCTORS = (torch.tensor, torch.as_tensor)  # they, and new_tensor, leave out the values of meta tensors


class EmulatedTensor(Tensor):
    """A tensor on the emulated device; `values` is on the CPU."""

    values: Tensor
    is_meta = False  # for load_state_dict, which copies no values to a meta tensor

    @staticmethod
    def __new__(cls, values: Tensor) -> EmulatedTensor:
        made: EmulatedTensor = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            values.shape,
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            device=EMULATED,
        )
        made.values = values
        return made

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return _compute(func, args, kwargs or {})

    def __repr__(self, **_: Any) -> str:
        return f"EmulatedTensor({self.values!r})"


@contextmanager
def emulated_device() -> Iterator[torch.device]:
    """Within this, tensors of the meta device are those of the emulated one."""
    with (
        mock.patch.multiple(
            torch,
            is_autocast_enabled=as_on_the_cpu(torch.is_autocast_enabled),
            get_autocast_dtype=as_on_the_cpu(torch.get_autocast_dtype),
            autocast=as_on_the_cpu(torch.autocast),
        ),
        _Dispatch(),
        _Functions(),
    ):
        yield EMULATED


_forbidden: list[str] = []  # within `no_reading`, one entry


@contextmanager
def no_reading() -> Iterator[None]:
    """Within this, an operation for which the host waits for the emulated device is an error."""
    _forbidden.append("reading")
    try:
        yield
    finally:
        _forbidden.pop()


class _Dispatch(TorchDispatchMode):
    """Catches what makes tensors on the device from none."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if kwargs.get("device") == EMULATED or any(map(_is_emulated, tree_leaves((args, kwargs)))):
            return _compute(func, args, kwargs)
        return func(*args, **kwargs)


class _Functions(TorchFunctionMode):
    """Catches what torch does otherwise for meta tensors and for subclasses of tensors."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is Tensor.tolist and _is_emulated(args[0]):
            _check_waiting("aten::_local_scalar_dense", args, {})
            return args[0].values.tolist()
        if func in (Tensor.__getitem__, Tensor.__setitem__):
            args = (args[0], tree_map(_listed, args[1], is_leaf=_is_list), *args[2:])
        if func in _CONSTRUCTORS and str(kwargs.get("device")) == EMULATED.type:
            return func(*args, **kwargs | {"device": "cpu"}).to(EMULATED)
        if func is Tensor.new_tensor and _is_emulated(args[0]):
            return torch.tensor(*args[1:], **{"dtype": args[0].dtype, **kwargs}).to(EMULATED)
        return func(*args, **kwargs)


def as_on_the_cpu(function: Callable[..., Any]) -> Callable[..., Any]:
    """Autocast knows no meta device."""
    return lambda device, *args, **kwargs: function("cpu" if device == "meta" else device, *args, **kwargs)


def _is_list(index: Any) -> bool:
    return isinstance(index, list)


def _listed(index: Any) -> Any:
    """A list of places as a tensor with values, which a tensor of the meta device would not make of it."""
    return torch.tensor(index, dtype=None if index else torch.long) if _is_list(index) else index


def _is_emulated(leaf: Any) -> bool:
    return isinstance(leaf, EmulatedTensor)


def _compute(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The operation on the CPU, its results on the device that they belong to."""
    name = func._schema.name
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    given = {id(tensor.values): tensor for tensor in tensors if isinstance(tensor, EmulatedTensor)}
    moved = name in ("aten::_to_copy", "aten::copy_")
    if given and not moved:
        _check_devices(name, args, tensors)
    if given:
        _check_waiting(name, args, kwargs)
    goal = kwargs.get("device") or (args[0].device if name == "aten::copy_" else None)
    stays = bool(given) if goal is None else goal == EMULATED
    results = func(*tree_map(_on_cpu, args), **tree_map(_on_cpu, dict(kwargs)))
    if torch.Tag.inplace_view in func.tags:
        with no_dispatch():
            func(*args, **kwargs)  # the shape that the tensor says to have

    def on_device(value: Any) -> Any:
        if id(value) in given:
            return given[id(value)]  # changed in place
        if not isinstance(value, Tensor) or not stays:
            return value
        if value.dtype == torch.float64:
            raise TypeError(f"{name}: the device has no float64")
        return EmulatedTensor(value)

    return tree_map(on_device, results)


def _check_devices(name: str, args: Sequence[Any], tensors: Sequence[Tensor]) -> None:
    """Numbers of no dimension may come from the CPU, and so may places for indexing, as on every device."""
    checked = tree_leaves((args[0], args[2:])) if name in _INDEXED else tensors
    for tensor in checked:
        if isinstance(tensor, Tensor) and tensor.dim() > 0 and not isinstance(tensor, EmulatedTensor):
            raise RuntimeError(
                f"{name}: a tensor of shape {tuple(tensor.shape)} is on the CPU, others are not"
            )


def _check_waiting(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Within `no_reading`, refuses to fetch values, and results whose shape depends on values."""
    if not _forbidden:
        return
    goal = args[0] if name == "aten::copy_" else kwargs.get("device", args[0])
    to_host = name in ("aten::_to_copy", "aten::copy_") and (
        goal == torch.device("cpu") or (isinstance(goal, Tensor) and not _is_emulated(goal))
    )
    masks = [leaf for leaf in tree_leaves(args[1:2]) if isinstance(leaf, Tensor) and leaf.dtype == torch.bool]
    if name in _WAITS or to_host or (name in _INDEXED and masks):
        raise RuntimeError(f"{name}: the host waits for the device")


def _on_cpu(value: Any) -> Any:
    if isinstance(value, EmulatedTensor):
        return value.values
    return torch.device("cpu") if isinstance(value, torch.device) else value
