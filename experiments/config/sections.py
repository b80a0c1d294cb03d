"""The base of every part of a config, and parts that schema files of several rooms have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from elmo.values import Threads
from experiments.config.choices import Progress, WandbMode


@dataclass
class Section:
    """A part of the config, or its root."""

    def disagreements(self) -> Iterable[str]:
        """Faults that types cannot express, each beginning with the key within this section."""
        return ()


@dataclass
class LoggerConfig(Section):
    """Destinations of figures besides metrics.jsonl, which is always written."""

    wandb: WandbMode = WandbMode.auto
    project: str | None = None
    entity: str | None = None
    group: str | None = None
    job_type: str | None = None
    tags: list[str] = field(default_factory=list)
    tensorboard: bool = True
    curves: bool = True
    progress: Progress = Progress.auto


@dataclass
class InferenceConfig(Section):
    """The common keys of all commands that run a saved model."""

    device: str = "auto"
    num_threads: Threads | None = None
    progress: Progress = Progress.auto
    plugins: list[str] = field(default_factory=list)

    def disagreements(self) -> Iterator[str]:
        yield from bad_device(self.device)


def bad_device(device: str) -> Iterator[str]:
    """The fault of a device's name, if it has one."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        yield f"device: expected auto, cpu, cuda, cuda:<number> or mps, got {device!r}"
