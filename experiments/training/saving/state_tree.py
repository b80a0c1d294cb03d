"""The state of a training as a tree that JSON can hold, and its tensors apart from it, by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from elmo.errors import shown

TAG = "$"  # key of the JSON objects that stand for what JSON has no notation for


class Encoder:
    """Turns a state into what JSON can hold, and copies its tensors and arrays to the CPU, under names.

    What becomes of the state afterwards changes no copy. Tensors that are one in memory are copied once.
    """

    def __init__(self) -> None:
        self.tensors: dict[str, torch.Tensor] = {}
        self._names: dict[tuple[Any, ...], str] = {}

    def encode(self, value: Any, where: str) -> Any:
        """The value in what JSON can hold; TypeError names the place of something that cannot be saved."""
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, (bool, int, str)):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else {TAG: "float", "value": repr(value)}
        if isinstance(value, torch.Tensor):
            return {TAG: "tensor", "name": self._name_of(value)}
        if isinstance(value, np.ndarray):
            return {TAG: "array", "name": self._add(_copy_of_array(value, where))}
        if isinstance(value, (list, tuple)):
            items = [self.encode(item, f"{where}[{i}]") for i, item in enumerate(value)]
            return items if isinstance(value, list) else {TAG: "tuple", "items": items}
        if isinstance(value, Mapping):
            return self._encode_mapping(value, where)
        raise TypeError(f"{where}: a {type(value).__name__} cannot be saved in a checkpoint")

    def _encode_mapping(self, mapping: Mapping[Any, Any], where: str) -> dict[str, Any]:
        values = {key: self.encode(value, f"{where}[{key!r}]") for key, value in mapping.items()}
        if TAG not in values and all(isinstance(key, str) for key in values):
            return values
        # JSON would turn every key into a string.
        return {TAG: "dict", "items": [[self.encode(key, where), value] for key, value in values.items()]}

    def _name_of(self, tensor: torch.Tensor) -> str:
        # A subclass of Tensor may have no memory of its own; then the objects tell tensors apart.
        place = (tensor.data_ptr() or id(tensor), tensor.dtype, tensor.shape, tensor.stride(), tensor.device)
        if place not in self._names or not tensor.numel():
            contiguous = torch.contiguous_format
            self._names[place] = self._add(tensor.detach().to("cpu", copy=True, memory_format=contiguous))
        return self._names[place]

    def _add(self, copied: torch.Tensor) -> str:
        name = f"t{len(self.tensors)}"
        self.tensors[name] = copied
        return name


def _copy_of_array(array: np.ndarray, where: str) -> torch.Tensor:
    try:
        return torch.from_numpy(np.array(array, order="C"))
    except TypeError as error:
        raise TypeError(f"{where}: an array of {array.dtype} cannot be saved in a checkpoint") from error


def decode(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """What `Encoder` has encoded.

    Raises:
        KeyError, TypeError, ValueError, OverflowError: it is damaged.
    """
    if isinstance(value, list):
        return [decode(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    kind = value.get(TAG)
    if kind is None:
        return {key: decode(item, tensors) for key, item in value.items()}
    if kind == "tensor":
        return tensors[value["name"]]
    if kind == "array":
        return tensors[value["name"]].numpy()
    if kind == "float":
        return float(value["value"])
    if kind == "tuple":
        return tuple(decode(item, tensors) for item in value["items"])
    if kind != "dict":
        raise ValueError(f"a value of kind {shown(kind)}")
    return {decode(key, tensors): decode(item, tensors) for key, item in value["items"]}
