"""The states of torch's random generators that a run on a device draws from."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from elmo.errors import InputError, reason_of


def generator_states(device: torch.device) -> dict[str, Tensor]:
    """The states of the CPU's default generator and of that of `device`, by type of device."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def restore_generators(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Set the generators to states of `generator_states`; one whose state is not among them stays as it is.

    So a run may go on on another type of device, where it draws other numbers.

    Raises:
        InputError: a state is damaged.
    """
    try:
        _restore(states, device)
    except (KeyError, TypeError, RuntimeError) as error:
        raise InputError(f"generators: damaged ({reason_of(error)})") from error


def _restore(states: Mapping[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    elif device.type == "mps" and "mps" in states:
        torch.mps.set_rng_state(states["mps"])
