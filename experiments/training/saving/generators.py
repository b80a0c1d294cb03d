"""The states of torch's random generators that a run on a device draws from."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import torch
from torch import Tensor

from elmo.errors import InputError, reason_of

LOG = logging.getLogger(__name__)


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

    So a run may go on on another type of device, where it draws other numbers, which is noted.

    Raises:
        InputError: a state is damaged.
    """
    try:
        _restore(states, device)
    except (KeyError, TypeError, RuntimeError) as error:
        raise InputError(f"generators: damaged ({reason_of(error)})") from error


def _restore(states: Mapping[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(states["cpu"])
    others, own = states.keys() - {"cpu"}, {device.type} & {"cuda", "mps"}
    if others != own:
        before = ", ".join(sorted(others)) or "cpu"
        LOG.warning("the checkpoint was made on %s: on %s, other random numbers follow", before, device.type)
    elif device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
    elif device.type == "mps":
        torch.mps.set_rng_state(states["mps"])
