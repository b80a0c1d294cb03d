"""A run that only says what it would be: its facts, memory and hours, from a few timed steps."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from experiments.config.build import make_trainer, start_training
from experiments.config.schema import TrainConfig
from experiments.io.environment import peak_accelerator_memory_bytes, peak_memory_bytes
from experiments.logging.report import BYTES, ESTIMATED_MEMORY, facts_of, print_facts
from experiments.training.first_steps import seconds_per_step
from experiments.training.memory import check_memory, device_bytes, told_out_of_memory
from experiments.training.stop import Stop
from experiments.training.trainer import Trainer


def dry_run(config: TrainConfig, device: torch.device) -> dict[str, float | str]:
    """Print and return the facts of a run, after some steps that are timed and then forgotten.

    Raises:
        InputError: the user's mistakes, as of the run itself; the run does not fit into the memory.
    """
    with tempfile.TemporaryDirectory() as scratch:
        trainer = make_trainer(config, start_training(config, device), Path(scratch), Stop())
        facts = facts_of(trainer)
        there = device_bytes(device)
        if there is not None:
            facts[f"memory of {device}{BYTES}"] = there
        if config.trainer.check_memory:
            check_memory(trainer)
        with told_out_of_memory(device, float(facts[ESTIMATED_MEMORY])):
            facts |= _timed(trainer)
    print_facts("dry run", facts)
    return facts


def _timed(trainer: Trainer) -> dict[str, float | str]:
    """The time of a step, of the whole training, and the peak memory of the steps that were timed."""
    seconds = seconds_per_step(trainer)
    if seconds is None:
        return {"seconds per step": "not known, as there are fewer than two steps"}
    limits, steps = trainer.limits, trainer.planned_steps()
    hours = [] if steps is None else [steps * seconds / 3600]
    if limits.minutes is not None:
        hours.append(limits.minutes / 60)
    cuda = trainer.device.type == "cuda"
    return {
        "seconds per step": f"{seconds:.3g}",
        "hours": f"{min(hours):.3g}, evaluations and a stop by trainer.patience left out",
        f"peak memory of the timed steps{BYTES}": peak_accelerator_memory_bytes()
        if cuda
        else peak_memory_bytes(),
    }
