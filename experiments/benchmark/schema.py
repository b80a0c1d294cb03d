"""The typed root of conf/benchmark_train.yaml."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated

from elmo.values import Count, Length, Positive, Size
from experiments.config.choices import Precision, Progress
from experiments.config.sections import Section


class Preset(Enum):
    """A training to measure; see `experiments.benchmark.presets`."""

    default = "default"
    tiny = "tiny"
    small = "small"
    medium = "medium"
    original = "original"


@dataclass
class BenchmarkTrainConfig(Section):
    """Root of conf/benchmark_train.yaml."""

    presets: Annotated[list[Preset], Length(1, 5)] = field(default_factory=lambda: list(Preset))
    precisions: Annotated[list[Precision], Length(1, 2)] = field(default_factory=lambda: list(Precision))
    processes: Annotated[list[str], Length(1, 100)] | None = None
    rounds: Size = 3
    seconds: Positive = 10.0
    text: str | None = None
    vocabulary: str | None = None
    num_types: Count | None = None
    overrides: list[str] = field(default_factory=list)
    device: str = "auto"
    beside: str | None = None
    profile: str | None = None
    output: str | None = None
    progress: Progress = Progress.auto

    def disagreements(self) -> Iterator[str]:
        for given in self.processes or []:
            if not re.fullmatch(r"[1-9]\d{0,3}x[1-9]\d{0,3}", given):
                yield f"processes: expected processes x threads of each, such as 1x2 or 2x1, got {given!r}"
        if self.vocabulary is not None and self.text is None:
            yield "vocabulary: belongs to a text; give text=FILE"
        if self.num_types is not None and self.text is not None:
            yield "num_types: of a made-up text; leave out num_types or text"
        if self.output is not None and not self.output.endswith(".json"):
            yield f"output: expected a file that ends with .json, got {self.output}; it gets a .csv, too"
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device):
            yield f"device: expected auto, cpu, cuda, cuda:<number> or mps, got {self.device!r}"
