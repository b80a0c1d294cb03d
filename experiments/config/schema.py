"""The typed root of every command's config, and the faults that its own values show."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from experiments.config.choices import (
    ConvertTarget,
    MetricGoal,
    Precision,
    Progress,
    RecordFormat,
    StartState,
    VectorType,
    WandbMode,
)


@dataclass
class Section:
    """A part of the config, or its root."""

    def disagreements(self) -> Iterable[str]:
        """Faults that types cannot express, each beginning with the key within this section."""
        return ()


@dataclass
class VocabularyConfig(Section):
    """The softmax's targets: a file, or the corpus's own types by count."""

    path: str | None = None
    min_count: int = 2
    max_size: int | None = None

    def disagreements(self) -> Iterator[str]:
        yield from _below_one(self, "min_count", "max_size")


@dataclass
class TrainerConfig(Section):
    """Limits, speed and periods; the run ends at the first of the three limits."""

    max_steps: int | None = None
    max_epochs: float | None = None
    max_minutes: float | None = None
    batch_size: int = MISSING
    accumulate_batches: int = 1
    clip_norm: float | None = None
    device: str = "auto"
    precision: Precision = Precision.fp32
    num_threads: int | None = None
    evaluate_every: int | None = None
    save_every: int | None = None
    log_every: int = 50
    metric: str = MISSING
    metric_goal: MetricGoal = MetricGoal.minimize
    patience: int | None = None
    keep_checkpoints: int = 2

    def disagreements(self) -> Iterator[str]:
        limits = ("max_steps", "max_epochs", "max_minutes")
        if all(getattr(self, limit) is None for limit in limits):
            yield f"max_steps: nothing ends the run; set one of {', '.join(limits)}"
        yield from (
            f"{name}: must be above 0, got {getattr(self, name)}"
            for name in limits
            if _not_above_zero(self, name)
        )
        counts = (
            "batch_size",
            "accumulate_batches",
            "num_threads",
            "evaluate_every",
            "save_every",
            "log_every",
        )
        yield from _below_one(self, *counts, "patience", "keep_checkpoints")
        if _not_above_zero(self, "clip_norm"):
            yield f"clip_norm: must be above 0, got {self.clip_norm}; null clips nothing"
        yield from _bad_device(self.device)
        if "/" not in self.metric:
            yield f"metric: expected split/quantity, such as dev/perplexity, got {self.metric!r}"


@dataclass
class FineTuningConfig(Section):
    """Fine-tuning of an encoder from `init_from` in a task."""

    trainable: bool = False
    learning_rate_factor: float = 0.1
    layer_factor: float = 1.0
    unfreeze_every: float | None = None

    def disagreements(self) -> Iterator[str]:
        for name in ("learning_rate_factor", "layer_factor", "unfreeze_every"):
            if _not_above_zero(self, name):
                yield f"{name}: must be above 0, got {getattr(self, name)}"


@dataclass
class FeaturesConfig(Section):
    """The store of a frozen encoder's vectors, for later epochs and runs."""

    cached: bool = True
    max_gigabytes: float = 20.0
    dtype: VectorType = VectorType.float16

    def disagreements(self) -> Iterator[str]:
        if _not_above_zero(self, "max_gigabytes"):
            yield f"max_gigabytes: must be above 0, got {self.max_gigabytes}; cached=false keeps nothing"


@dataclass
class LoggerConfig(Section):
    """Destinations of figures besides metrics.jsonl, which is always written."""

    wandb: WandbMode = WandbMode.auto
    project: str = "elmo"
    entity: str | None = None
    group: str | None = None
    tags: list[str] = field(default_factory=list)
    tensorboard: bool = True
    progress: Progress = Progress.auto


@dataclass
class TrainConfig(Section):
    """Root of conf/train.yaml. A group that only some tasks have is None for the others."""

    task: dict[str, Any] = MISSING
    data: dict[str, Any] = MISSING
    tokenizer: dict[str, Any] = MISSING
    vocabulary: VocabularyConfig = field(default_factory=VocabularyConfig)
    encoder: dict[str, Any] = MISSING
    softmax: dict[str, Any] | None = None
    batching: dict[str, Any] | None = None
    mix: dict[str, Any] | None = None
    head: dict[str, Any] | None = None
    fine_tuning: FineTuningConfig = field(default_factory=FineTuningConfig)
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    optimizer: dict[str, Any] = MISSING
    schedule: dict[str, Any] = MISSING
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    seed: int = 1
    name: str | None = None
    output_dir: str | None = None
    cache_dir: str = MISSING
    resume: str | None = None
    init_from: str | None = None
    plugins: list[str] = field(default_factory=list)

    def disagreements(self) -> Iterator[str]:
        if self.resume is not None and self.init_from is not None:
            yield "init_from: a resumed run has its weights; leave out init_from or resume"
        if self.seed < 0:
            yield f"seed: must not be negative, got {self.seed}"
        if self.name is not None and Path(self.name).name != self.name:
            yield f"name: must be a plain directory name, got {self.name!r}; output_dir takes a path"


@dataclass
class InferenceConfig(Section):
    """The common keys of all commands that run a saved model."""

    device: str = "auto"
    num_threads: int | None = None
    progress: Progress = Progress.auto
    plugins: list[str] = field(default_factory=list)

    def disagreements(self) -> Iterator[str]:
        yield from _below_one(self, "num_threads")
        yield from _bad_device(self.device)


@dataclass
class EvaluateConfig(InferenceConfig):
    """Root of conf/evaluate.yaml; null means: as in the run's own config."""

    run: str = MISSING
    output: str | None = None
    data: dict[str, Any] | None = None
    cache_dir: str = MISSING
    batch_size: int | None = None

    def disagreements(self) -> Iterator[str]:
        yield from super().disagreements()
        yield from _below_one(self, "batch_size")


@dataclass
class BenchmarkPrepareConfig(Section):
    """Root of conf/benchmark_prepare.yaml."""

    data: dict[str, Any] = MISSING
    tokenizer: dict[str, Any] = MISSING
    num_workers: int | None = None
    output: str | None = None
    cache_dir: str = MISSING
    progress: Progress = Progress.auto
    plugins: list[str] = field(default_factory=list)

    def disagreements(self) -> Iterator[str]:
        yield from _below_one(self, "num_workers")


@dataclass
class BenchmarkEmbedConfig(InferenceConfig):
    """Root of conf/benchmark_embed.yaml; without a model, one of `encoder` with random weights."""

    model: str | None = None
    weights: str | None = None
    encoder: dict[str, Any] = MISSING
    data: dict[str, Any] = MISSING
    tokenizer: dict[str, Any] = MISSING
    num_sentences: int = 1024
    batch_sizes: list[int] = field(default_factory=lambda: [1, 8, 64, 256])
    repeats: int = 3
    precision: Precision = Precision.fp32
    output: str | None = None

    def disagreements(self) -> Iterator[str]:
        yield from super().disagreements()
        yield from _below_one(self, "num_sentences", "repeats")
        if not self.batch_sizes or min(self.batch_sizes) < 1:
            yield f"batch_sizes: expected numbers of sentences, 1 or more, got {self.batch_sizes}"
        if self.weights is not None and self.model is None:
            yield "weights: belongs to an options.json; give model=OPTIONS"


@dataclass
class ConvertConfig(Section):
    """Root of conf/convert.yaml; `to` says which paths are read and which are written."""

    to: ConvertTarget = MISSING
    options: str = MISSING
    weights: str = MISSING
    model: str = MISSING
    vocabulary: str | None = None
    embeddings: str | None = None
    plugins: list[str] = field(default_factory=list)

    def disagreements(self) -> Iterator[str]:
        if self.options == self.weights:
            yield "weights: expected another file than options"
        if self.embeddings is not None and self.to is ConvertTarget.official:
            yield "embeddings: with to=official the table of words is written into weights; leave it out"
        elif self.embeddings is not None and self.vocabulary is None:
            yield "embeddings: the words of the table are missing; give vocabulary=FILE"


@dataclass
class EmbedConfig(InferenceConfig):
    """Root of conf/embed.yaml."""

    model: str = MISSING
    weights: str | None = None
    input: str = MISSING
    output: str = MISSING
    layers: str = "average"
    state: StartState = StartState.auto
    dtype: VectorType = VectorType.float32
    precision: Precision = Precision.fp32
    tokenizer: dict[str, Any] = MISSING
    prose: bool = False
    language: str = "en"
    tokens_per_batch: int = 4096
    field: str | None = None  # last: the name hides the function above

    def disagreements(self) -> Iterator[str]:
        yield from super().disagreements()
        yield from _below_one(self, "tokens_per_batch")
        if not re.fullmatch(r"all|top|average|\d+", self.layers):
            yield f"layers: expected all, top, average or a layer's number from 0, got {self.layers!r}"


@dataclass
class ScoreConfig(InferenceConfig):
    """Root of conf/score.yaml; a tokenizer of null is the model's own."""

    run: str = MISSING
    input: str = MISSING
    output: str = "-"
    tokenizer: dict[str, Any] | None = None
    prose: bool = False
    language: str = "en"
    tokens_per_batch: int = 4096
    field: str | None = None

    def disagreements(self) -> Iterator[str]:
        yield from super().disagreements()
        yield from _below_one(self, "tokens_per_batch")


@dataclass
class PredictConfig(InferenceConfig):
    """Root of conf/predict.yaml; a batch_size of null is the training's."""

    run: str = MISSING
    input: str = MISSING
    output: str = "-"
    format: RecordFormat = RecordFormat.auto
    explain: bool = False
    explain_output: str | None = None
    batch_size: int | None = None

    def disagreements(self) -> Iterator[str]:
        yield from super().disagreements()
        yield from _below_one(self, "batch_size")
        if self.explain_output is not None and not self.explain:
            yield "explain_output: nothing is explained; add explain=true"
        if self.explain and self.page_path() == self.output:
            yield "explain_output: expected another file than output"

    def page_path(self) -> str | None:
        """The path of the page of explanations: by default the output's, with the suffix .html."""
        if not self.explain or self.explain_output is not None or self.output == "-":
            return self.explain_output
        return str(Path(self.output).with_suffix(".html"))


SCHEMAS: dict[str, type] = {
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "embed": EmbedConfig,
    "score": ScoreConfig,
    "predict": PredictConfig,
    "convert": ConvertConfig,
    "benchmark_embed": BenchmarkEmbedConfig,
    "benchmark_prepare": BenchmarkPrepareConfig,
}


def store_schemas() -> None:
    """Makes the schemas known to Hydra, as `train_schema` and so on: a yaml of that name would hide one."""
    for command, schema in SCHEMAS.items():
        ConfigStore.instance().store(name=f"{command}_schema", node=schema)


def _below_one(config: Any, *names: str) -> Iterator[str]:
    for name in names:
        value = getattr(config, name)
        if value is not None and value < 1:
            yield f"{name}: must be at least 1, got {value}"


def _not_above_zero(config: Any, name: str) -> bool:
    value = getattr(config, name)
    return value is not None and not value > 0


def _bad_device(device: str) -> Iterator[str]:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        yield f"device: expected auto, cpu, cuda, cuda:<number> or mps, got {device!r}"


store_schemas()
