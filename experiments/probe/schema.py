"""The schema of conf/probe.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from omegaconf import MISSING

from elmo.values import Length, Positive, Seed
from experiments.config.choices import VectorType
from experiments.config.sections import InferenceConfig


@dataclass
class ProbeConfig(InferenceConfig):
    """Root of conf/probe.yaml."""

    probe: dict[str, Any] = MISSING
    data: dict[str, Any] = MISSING
    model: str | None = None
    weights: str | None = None
    models: Annotated[list[str], Length(1, 100)] | None = None
    seed: Seed = 1
    output: str | None = None
    max_gigabytes: Positive = 20.0
    dtype: VectorType = VectorType.float16
    cache_dir: str = MISSING

    def disagreements(self) -> Iterator[str]:
        yield from super().disagreements()
        if self.model is None and self.models is None:
            yield "model: missing; give a value, such as model=runs/NAME, or models=[runs/ONE,runs/TWO]"
        elif self.model is not None and self.models is not None:
            yield "models: give one of model=DIR and models=[...]"
        if self.weights is not None and self.model is None:
            yield "weights: belongs to an options.json; give model=OPTIONS"
        if len(set(self.models or ())) < len(self.models or ()):
            yield "models: a model is given twice"
