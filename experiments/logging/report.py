"""The printed reports of a training: facts before the first step, figures after the last."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from elmo.files import atomic_write, json_text
from experiments.logging.progress import summary_table
from experiments.training.memory import estimated_bytes
from experiments.training.precision import PRECISIONS
from experiments.training.trainer import Trainer

BYTES = " bytes"  # what the name of a fact ends with that is printed in MiB
ESTIMATED_MEMORY = f"estimated memory{BYTES}"


def facts_of(trainer: Trainer) -> dict[str, float | str]:
    """Sizes, counts and the planned steps of a training; a float is a percentage, an int a count."""
    training = trainer.training
    per_step = training.units_per_batch * trainer.accumulate_batches
    num_parameters = sum(parameter.numel() for parameter in training.model.parameters())
    num_trained = sum(parameter.numel() for parameter in trainer.parameters)
    facts: dict[str, float | str] = {
        "device": str(trainer.device),
        "precision": _precision(trainer.steps.dtype),
        "precision of evaluations": _precision(trainer.evaluation_dtype),
        "parameters": num_parameters,
        "parameters trained": num_trained,
        "parameters frozen": num_parameters - num_trained,
        **training.reports.facts(),
        f"{training.unit} per step": per_step,
        "steps": _planned(trainer),
        ESTIMATED_MEMORY: estimated_bytes(trainer),
    }
    if trainer.device.type != "cpu":
        facts["gradients"] = trainer.steps.route
    if trainer.position.step:
        facts["resumed after step"] = f"{trainer.position.step:,}"
    return facts


def print_facts(name: str, facts: Mapping[str, float | str]) -> None:
    """Print the facts of the run `name`."""
    rows = [(key.removesuffix(BYTES), _shown(key, value)) for key, value in facts.items()]
    summary_table(rows, columns=("run", name))
    print(flush=True)


def figures_of_facts(facts: Mapping[str, float | str]) -> dict[str, float]:
    """The facts that are numbers, under names such as `facts/train_tokens`."""
    return {
        f"facts/{name.replace(' ', '_')}": value
        for name, value in facts.items()
        if not isinstance(value, str)
    }


def _shown(key: str, value: float | str) -> str:
    if isinstance(value, str):
        return value
    if key.endswith(BYTES):
        return f"{value / 2**20:,.0f} MiB"
    return f"{value:.2f}%" if isinstance(value, float) else f"{value:,}"


def print_figures(
    table: tuple[list[str], list[list[str | float | None]]], figures: Mapping[str, float]
) -> None:
    """Print the task's own table, speed and memory."""
    columns, rows = table
    print()
    summary_table(rows, columns=columns)
    for unit in ("tokens", "examples"):
        if f"train/{unit}_per_second" in figures:
            print(f"trained on {figures[f'train/{unit}_per_second']:,.0f} {unit}/s", end=", ")
    print(f"{figures['seconds']:,.0f} s, peak memory {figures['peak_memory_bytes'] / 2**20:,.0f} MiB")


def print_end(trainer: Trainer, model_path: Path) -> None:
    """Print why the run ended, and where its model is."""
    position = trainer.position
    which = f" of step {position.best_step:,}, the best by {trainer.metric}," if position.best_step else ""
    print(f"ended by {trainer.ended_by()} after step {position.step:,}; the model{which} is in {model_path}")


def write_figures(path: Path, figures: Mapping[str, float]) -> None:
    """Write figures as JSON, atomically."""
    with atomic_write(path) as aside:
        aside.write_text(json_text(figures, indent=2) + "\n", encoding="utf-8")


def _precision(dtype: torch.dtype) -> str:
    return next(name for name, value in PRECISIONS.items() if value == dtype)


def _planned(trainer: Trainer) -> str:
    """The planned steps; approximate for a limit of epochs, as batches of sentences are not quite full."""
    limits, steps = trainer.limits, trainer.planned_steps()
    parts = [] if steps is None else [f"{steps:,}" if limits.epochs is None else f"about {steps:,}"]
    if limits.minutes is not None:
        parts.append(f"as many as {limits.minutes:g} minutes allow")
    return ", or ".join(parts)
