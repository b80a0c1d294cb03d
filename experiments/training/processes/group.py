"""Opens the group of the processes that torchrun has started, and finds each its device."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from elmo.device import choose_device
from elmo.errors import InputError, reason_of
from experiments.training.processes.torchrun import Place, place_of_process
from tasks.processes import Processes

LONGEST_WAIT = timedelta(days=7)  # for a process that prepares data or draws pictures, and has not ended


def choose_own_device(name: str, place: Place) -> torch.device:
    """The device of this process: with several, the accelerator with its index on its machine.

    Args:
        name: as of `elmo.device.choose_device`.
        place: of this process.

    Raises:
        InputError: there is no such device, or none for this process.
    """
    device = choose_device(name)
    if place.is_alone or device.type == "cpu":
        return device
    if device.type != "cuda" or device.index is not None:
        raise InputError(
            f"trainer.device: {device} is one device for {place.size} processes; use cuda or cpu"
        )
    count = torch.cuda.device_count()
    if place.local_rank >= count:
        raise InputError(
            f"trainer.device: process {place.local_rank} of this machine has no GPU of its own, as there are"
            f" {count}; give torchrun --nproc-per-node={count}, or trainer.device=cpu"
        )
    return torch.device("cuda", place.local_rank)


@contextmanager
def open_processes(device: torch.device, *, timeout_seconds: float) -> Iterator[Processes]:
    """The group of all processes while the block runs; without torchrun it is this process alone.

    Gradients go through NCCL between GPUs and through gloo otherwise, everything else through gloo.

    Args:
        device: of this process.
        timeout_seconds: the longest wait for the gradients of a process that neither ends nor answers.

    Raises:
        InputError: the processes do not find each other.
    """
    place = place_of_process()
    if place.is_alone:
        yield Processes()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    limit = timedelta(seconds=timeout_seconds)
    try:
        store, rank, size = next(dist.rendezvous("env://", timeout=limit))
        dist.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            # torchrun may keep its store when it starts the processes again, with the addresses of the dead
            store=dist.PrefixStore(f"start_{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store),
            rank=rank,
            world_size=size,
            timeout=limit,
        )
        group = dist.new_group(backend="gloo", timeout=LONGEST_WAIT)
    except (RuntimeError, ValueError) as error:
        where = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        raise InputError(
            f"torchrun: rank {place.rank} cannot meet the other processes at {where} ({reason_of(error)});"
            " another --master-port may be free"
        ) from error
    yield Processes(rank=place.rank, size=place.size, group=group, gradients=dist.group.WORLD)
    # After a failure the others may be gone, and closing would wait for them.
    dist.destroy_process_group()
