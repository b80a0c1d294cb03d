"""The typed root of conf/sweep.yaml, whose keys a sweep's file has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from experiments.config.choices import Progress
from experiments.config.sections import Section


@dataclass
class SweepConfig(Section):
    """Root of conf/sweep.yaml; `experiments.sweep.grid` says what `base`, `grid` and `pretraining` mean,
    and `experiments.sweep.data_files` what stands in that file."""

    question: str | None = None
    base: dict[str, Any] = field(default_factory=dict)
    pretraining: dict[str, Any] = field(default_factory=dict)
    grid: Any = None
    data_files: str | None = None
    reuse: list[str] = field(default_factory=list)
    launcher: dict[str, Any] = MISSING
    name: str | None = None
    dry_run: bool = False
    progress: Progress = Progress.auto

    def disagreements(self) -> Iterator[str]:
        if self.name is not None and Path(self.name).name != self.name:
            yield f"name: must be a plain directory name, got {self.name!r}"
