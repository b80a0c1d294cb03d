"""The typed root of conf/tune.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from elmo.values import Count, Threads
from experiments.config.sections import Section


@dataclass
class TuneConfig(Section):
    """Root of conf/tune.yaml, whose keys a file of conf/search/ has.

    `experiments.tune.space` says what `space` means, and `experiments.tune.plan` what else is searched.
    """

    question: str | None = None
    base: dict[str, Any] = field(default_factory=dict)
    space: dict[str, Any] = field(default_factory=dict)
    trials: Count = 20
    sampler: dict[str, Any] = MISSING
    pruner: dict[str, Any] | None = None
    workers: Threads = 1
    storage: str | None = None
    name: str | None = None

    def disagreements(self) -> Iterator[str]:
        if self.name is not None and Path(self.name).name != self.name:
            yield f"name: must be a plain directory name, got {self.name!r}"
