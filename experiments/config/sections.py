"""The base of every part of a config, and parts that schema files of several rooms have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

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
