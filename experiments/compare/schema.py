"""The schema of conf/compare.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated

from elmo.values import Length, Positive
from experiments.config.choices import WandbMode
from experiments.config.sections import LoggerConfig, Section


class Incomplete(Enum):
    leave_out = "leave_out"
    refuse = "refuse"


class Checklist(Enum):
    acl = "acl"
    neurips = "neurips"


@dataclass
class CompareConfig(Section):
    """Root of conf/compare.yaml; `by` of null: what differs, or the axes of the sweep.

    `sweep=DIR` of the command line is `sweep_dir` here: a key of the name of a group would be a choice.
    """

    runs: Annotated[list[str], Length(1, 10_000)] | None = None
    sweep_dir: str | None = None
    study: str | None = None
    by: Annotated[list[str], Length(1, 20)] | None = None
    over: Annotated[list[str], Length(0, 20)] = field(default_factory=lambda: ["seed"])
    metric: str | None = None
    baseline: str | None = None
    difference: Positive | None = None
    against: str | None = None
    error_reduction: bool = False
    incomplete: Incomplete = Incomplete.leave_out
    output: str | None = None
    checklist: Checklist | None = None
    logger: LoggerConfig = field(default_factory=LoggerConfig)

    def disagreements(self) -> Iterator[str]:
        places = {"runs": self.runs, "sweep": self.sweep_dir, "study": self.study}
        given = [key for key, value in places.items() if value is not None]
        if not given:
            yield "runs: missing; give a value, such as runs=['runs/*'], or sweep=DIR, or study=DIR"
        if len(given) > 1:
            yield f"{given[-1]}: give one of runs=[globs], sweep=DIR and study=DIR; got {' and '.join(given)}"
        if self.error_reduction and self.metric is not None and "perplexity" in self.metric:
            yield "error_reduction: a perplexity has no error to reduce; leave it out"
        for key in sorted(set(self.by or ()) & set(self.over)):
            yield f"by: {key} is in over as well; a key makes the groups or is repeated"
        if self.output is None and self.logger.wandb is not WandbMode.disabled:
            yield "logger: the files of W&B lie in the output's directory; give output=DIR"
