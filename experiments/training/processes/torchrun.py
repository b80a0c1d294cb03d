"""This process's place among those that torchrun has started; without torchrun, it is alone."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from elmo.errors import InputError

PATIENCE = 5.0  # seconds in which the first process says the fault that all have found


class Place(NamedTuple):
    """The index of a process among all and among those of its machine, and the number of all."""

    rank: int
    local_rank: int
    size: int

    @property
    def is_alone(self) -> bool:
        """Whether it is the only one."""
        return self.size == 1


def place_of_process() -> Place:
    """The place that the environment gives; InputError if its variables are no numbers, or some are missing.

    Only torchrun's own set of variables counts: single ones are also left behind by other programs.
    """
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE")
    given = {name: os.environ[name] for name in names if name in os.environ}
    if len(given) < len(names) or "MASTER_ADDR" not in os.environ:
        return Place(0, 0, 1)
    if not all(value.isdecimal() for value in given.values()):
        said = " ".join(f"{name}={value}" for name, value in given.items())
        raise InputError(f"torchrun: expected numbers, got {said}")
    place = Place(*(int(given[name]) for name in names))
    if place.rank >= place.size:
        raise InputError(f"torchrun: RANK={place.rank} of WORLD_SIZE={place.size} processes")
    return place


def check_place(place: Place, *, batch_size: int, is_dry: bool) -> None:
    """InputError if a run cannot be shared by so many processes."""
    if place.is_alone:
        return
    if is_dry:
        raise InputError(f"dry_run: measures one process, not {place.size}; start it without torchrun")
    if batch_size < place.size:
        raise InputError(
            f"trainer.batch_size: {batch_size} leaves some of {place.size} processes without a row; it is the"
            f" batch of all processes, at least {place.size}"
        )


def leave_word_to_first() -> None:
    """Give the first process time to say a fault; torchrun ends all when it has.

    A fault that it does not have is said afterwards.
    """
    if place_of_process().rank:
        time.sleep(PATIENCE)
