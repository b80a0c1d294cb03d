"""What a checkpoint holds of a training, and whether it fits the training that wants to go on from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from elmo.errors import InputError, shown
from elmo.values import read_record
from experiments.training.position import Position

MOST = 10**15  # no count of a run is larger
# Options of an optimizer that follow from its device, and the rates, which a schedule sets at every step.
_OF_THE_DEVICE = ("capturable", "fused", "foreach", "lr")


@dataclass(frozen=True, kw_only=True)
class SavedState:
    """The parts of a state, as `Trainer.state_dict` has them."""

    model: dict[str, Tensor]
    optimizer: dict[str, Any]
    batches: dict[str, Any]
    task: dict[str, Any]
    fingerprints: dict[str, str]
    position: Position
    metric: str
    generators: dict[str, Tensor]


def read_state(state: Mapping[Any, Any], *, name: str) -> SavedState:
    """The parts of a state from a checkpoint; InputError names one that is missing or of another type."""
    return read_record(SavedState, state, name=name)


def refuse_unlike(saved: Any, own: Any, *, name: str) -> None:
    """InputError if a state has other keys or types than `own`; the sizes of its tensors may be others."""
    if type(saved) is not type(own):
        raise InputError(
            f"{name}: expected {type(own).__name__}, got {shown(saved)}; the checkpoint is damaged"
        )
    if isinstance(own, Mapping):
        if saved.keys() != own.keys():
            raise InputError(
                f"{name}: has not the keys {', '.join(map(str, own))}; the checkpoint is damaged, or of"
                " another version (init_from starts a new run from its weights)"
            )
        for key, value in own.items():
            refuse_unlike(saved[key], value, name=f"{name}.{key}")
    elif isinstance(own, (list, tuple)):
        if len(saved) != len(own):
            raise InputError(
                f"{name}: expected {len(own)} entries, got {len(saved)}; the checkpoint is damaged"
            )
        for index, value in enumerate(own):
            refuse_unlike(saved[index], value, name=f"{name}[{index}]")
    elif isinstance(own, (int, float)) and not (math.isfinite(saved) and abs(saved) <= MOST):
        raise InputError(f"{name}: got {shown(saved)}, which no run has; the checkpoint is damaged")
    elif hasattr(own, "dtype") and (saved.dtype, saved.ndim) != (own.dtype, own.ndim):
        raise InputError(f"{name}: expected {own.ndim} dimensions of {own.dtype}; the checkpoint is damaged")


def fitted_to_device(saved: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """An optimizer's state, saved on whatever device, with the options that follow from the device of
    `optimizer`."""
    own, groups = optimizer.state_dict()["param_groups"], saved.get("param_groups")
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        return dict(saved)
    fitted = [
        {**group, **{key: mine[key] for key in _OF_THE_DEVICE if key in mine and key in group}}
        for group, mine in zip(groups, own, strict=False)
    ]
    return {**saved, "param_groups": fitted + groups[len(fitted) :]}


def refuse_unlike_optimizer(saved: Mapping[str, Any], optimizer: torch.optim.Optimizer, *, name: str) -> None:
    """InputError if the state of an optimizer is not one that `optimizer` may come to.

    torch itself checks little of a state before a step fails. What a parameter's entry must be like is seen
    from one step of an optimizer of the same class, of parameters with as many dimensions.
    """
    own = optimizer.state_dict()
    refuse_unlike({**saved, "state": None}, {**own, "state": None}, name=name)
    if [group["params"] for group in saved["param_groups"]] != [g["params"] for g in own["param_groups"]]:
        raise InputError(f"{name}.param_groups: other parameters; the checkpoint is damaged")
    reference = _after_one_step(optimizer)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    entries = saved.get("state")
    if not isinstance(entries, Mapping) or not entries.keys() <= reference.keys():
        raise InputError(f"{name}.state: other parameters; the checkpoint is damaged")
    for index, entry in entries.items():
        refuse_unlike(entry, reference[index], name=f"{name}.state[{index}]")
        for key, value in entry.items():
            _refuse_misfit(value, parameters[index], name=f"{name}.state[{index}].{key}")


def _refuse_misfit(value: Any, parameter: Tensor, *, name: str) -> None:
    """InputError if a tensor has neither the parameter's sizes nor ones (some optimizers keep means)."""
    if not isinstance(value, Tensor):
        return
    if any(size not in (1, full) for size, full in zip(value.shape, parameter.shape, strict=False)):
        raise InputError(f"{name}: of another parameter {tuple(value.shape)}; the checkpoint is damaged")
    if not bool(value.isfinite().all()):
        raise InputError(f"{name}: has values that are NaN or infinite; the checkpoint is damaged")


def _after_one_step(optimizer: torch.optim.Optimizer) -> dict[int, Any]:
    """The entries of parameters with a single value each, after a step with the optimizer's options."""
    on_cpu = {"capturable": False}
    groups = [
        {
            **group,
            **{key: value for key, value in on_cpu.items() if key in group},
            "params": [torch.ones([1] * parameter.dim()) for parameter in group["params"]],
        }
        for group in optimizer.param_groups
    ]
    stand_in = type(optimizer)(groups)  # type: ignore[call-arg]
    for group in stand_in.param_groups:
        for parameter in group["params"]:
            parameter.requires_grad_(True).grad = torch.ones_like(parameter)
    stand_in.step()
    entries: dict[int, Any] = stand_in.state_dict()["state"]
    return entries
