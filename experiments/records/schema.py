"""The typed roots of the commands that repeat a run and compare two, as their records have them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from omegaconf import MISSING

from experiments.config.choices import Progress
from experiments.config.sections import Section


@dataclass
class RerunConfig(Section):
    """Root of conf/rerun.yaml."""

    run: str = MISSING
    output_dir: str | None = None
    cache_dir: str | None = None
    progress: Progress = Progress.auto
    plugins: list[str] = field(default_factory=list)


@dataclass
class DiffConfig(Section):
    """Root of conf/diff.yaml."""

    run_a: str = MISSING
    run_b: str = MISSING
    output: str | None = None

    def disagreements(self) -> Iterator[str]:
        if self.output is not None and not self.output.endswith((".md", ".json")):
            yield f"output: expected a file that ends with .md or .json, got {self.output!r}"
