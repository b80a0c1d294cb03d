"""The typed root of every command's config, and the faults that its own values show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from elmo.values import Count, LearningRate, Length, Pattern, Positive, Range, Seed, Share, Size, Threads
from experiments.benchmark.schema import BenchmarkTrainConfig
from experiments.compare.schema import CompareConfig
from experiments.config.choices import (
    ConvertTarget,
    MetricGoal,
    Precision,
    Progress,
    RecordFormat,
    StartState,
    TrainingPrecision,
    VectorType,
)
from experiments.config.sections import InferenceConfig, LoggerConfig, Section, bad_device
from experiments.neighbours.schema import NeighboursConfig
from experiments.probe.schema import ProbeConfig
from experiments.records.schema import DiffConfig, RerunConfig
from experiments.sweep.schema import SweepConfig
from experiments.tune.schema import TuneConfig


@dataclass
class VocabularyConfig(Section):
    """The softmax's targets: a file, or the corpus's own types by count."""

    path: str | None = None
    min_count: Count = 2
    max_size: Count | None = None


@dataclass
class TrainerConfig(Section):
    """Limits, speed and periods; the run ends at the first of its limits (see `limits`)."""

    max_steps: Count | None = None
    max_epochs: Positive | None = None
    max_minutes: Positive | None = None
    default_max_steps: Count | None = None
    default_max_epochs: Positive | None = None
    batch_size: Size = MISSING
    accumulate_batches: Size = 1
    clip_norm: Positive | None = None
    device: str = "auto"
    precision: TrainingPrecision = TrainingPrecision.fp32
    evaluation_precision: Precision = Precision.fp32
    num_threads: Threads | None = None
    evaluate_every: Count | None = None
    save_every: Count | None = None
    save_every_minutes: Positive | None = 10.0
    log_every: Count = 50
    metric: str = MISSING
    metric_goal: MetricGoal = MetricGoal.minimize
    patience: Count | None = None
    keep_checkpoints: Count = 2
    keep_at: Annotated[list[Share], Length(1, 100)] | None = None
    check_memory: bool = True
    process_timeout_seconds: Positive = 600.0

    def limits(self) -> tuple[int | None, float | None, float | None]:
        """Steps, epochs and minutes that end the run; if none of them is given, the task's default."""
        given = (self.max_steps, self.max_epochs, self.max_minutes)
        return (self.default_max_steps, self.default_max_epochs, None) if given == (None,) * 3 else given

    def disagreements(self) -> Iterator[str]:
        if self.limits() == (None,) * 3:
            yield "max_steps: nothing ends the run; set one of max_steps, max_epochs, max_minutes"
        yield from bad_device(self.device)
        if "/" not in self.metric:
            yield f"metric: expected split/quantity, such as dev/perplexity, got {self.metric!r}"


@dataclass
class FineTuningConfig(Section):
    """Fine-tuning of an encoder from `init_from` in a task."""

    trainable: bool = False
    learning_rate_factor: Positive = 0.1
    layer_factor: Share = 1.0
    unfreeze_every: Positive | None = None


@dataclass
class FeaturesConfig(Section):
    """The store of a frozen encoder's vectors, for later epochs and runs."""

    cached: bool = True
    max_gigabytes: Positive = 20.0
    dtype: VectorType = VectorType.float16


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
    seed: Seed = 1
    name: str | None = None
    output_dir: str | None = None
    dry_run: bool = False
    profile: bool = False
    cache_dir: str = MISSING
    resume: str | None = None
    init_from: str | None = None
    plugins: list[str] = field(default_factory=list)

    def disagreements(self) -> Iterator[str]:
        if self.resume is not None and self.dry_run:
            yield "dry_run: a run that has begun has its facts in its directory; leave out dry_run or resume"
        if self.name is not None and Path(self.name).name != self.name:
            yield f"name: must be a plain directory name, got {self.name!r}; output_dir takes a path"


@dataclass
class FindLrConfig(TrainConfig):
    """Root of conf/find_lr.yaml: a run whose learning rate is swept."""

    lowest: LearningRate = 1e-6
    highest: LearningRate = 10.0
    num_steps: Annotated[int, Range(3, 100_000)] = 100
    output: str | None = None

    def disagreements(self) -> Iterator[str]:
        yield from super().disagreements()
        if self.lowest >= self.highest:
            yield f"highest: expected more than lowest ({self.lowest:g}), got {self.highest:g}"
        for key, value in (
            ("resume", self.resume),
            ("output_dir", self.output_dir),
            ("dry_run", self.dry_run),
            ("profile", self.profile),
        ):
            if value:
                yield f"{key}: belongs to a run, and a sweep makes none; leave it out"


@dataclass
class EvaluateConfig(InferenceConfig):
    """Root of conf/evaluate.yaml; null means: as in the run's own config."""

    run: str = MISSING
    checkpoint: str | None = None
    output: str | None = None
    data: dict[str, Any] | None = None
    cache_dir: str = MISSING
    batch_size: Size | None = None

    def disagreements(self) -> Iterator[str]:
        yield from super().disagreements()
        if self.checkpoint is not None and not re.fullmatch(
            r"last|best|at-[0-9.e-]+|[0-9]{1,12}", self.checkpoint
        ):
            yield f"checkpoint: expected last, best, at-SHARE or a step's number, got {self.checkpoint!r}"


@dataclass
class PreparationConfig(Section):
    """The common keys of all commands that prepare a text and run no model."""

    data: dict[str, Any] = MISSING
    tokenizer: dict[str, Any] = MISSING
    cache_dir: str = MISSING
    progress: Progress = Progress.auto
    plugins: list[str] = field(default_factory=list)


@dataclass
class ShareConfig(Section):
    """What a process does of a preparation."""

    part: Annotated[str, Pattern(r"[1-9]\d{0,5}/[1-9]\d{0,5}", "a part such as 3/16")] | None = None
    num_workers: Threads | None = None


@dataclass
class PrepareConfig(PreparationConfig):
    """Root of conf/prepare.yaml."""

    prepare: ShareConfig = field(default_factory=ShareConfig)
    seed: Seed = 1


@dataclass
class BenchmarkPrepareConfig(PreparationConfig):
    """Root of conf/benchmark_prepare.yaml."""

    output: str | None = None
    num_workers: Threads | None = None


@dataclass
class BenchmarkEmbedConfig(InferenceConfig):
    """Root of conf/benchmark_embed.yaml; without a model, one of `encoder` with random weights."""

    model: str | None = None
    weights: str | None = None
    encoder: dict[str, Any] = MISSING
    data: dict[str, Any] = MISSING
    tokenizer: dict[str, Any] = MISSING
    num_sentences: Count = 1024
    batch_sizes: Annotated[list[Size], Length(1, 100)] = field(default_factory=lambda: [1, 8, 64, 256])
    repeats: Size = 3
    precision: Precision = Precision.fp32
    output: str | None = None

    def disagreements(self) -> Iterator[str]:
        yield from super().disagreements()
        if self.weights is not None and self.model is None:
            yield "weights: belongs to an options.json; give model=OPTIONS"


@dataclass
class BenchmarkStatisticsConfig(Section):
    """Root of conf/benchmark_statistics.yaml."""

    num_comparisons: Size = 2000
    deviations: Annotated[list[Positive], Length(1, 20)] = field(default_factory=lambda: [0.7, 0.95, 1.6])
    num_examples: Size = 1821
    seed: Seed = 1
    output: str | None = None
    progress: Progress = Progress.auto


@dataclass
class VocabularyCommandConfig(PreparationConfig):
    """Root of conf/vocabulary.yaml."""

    output: str | None = None
    min_count: Count = 2
    max_size: Count | None = None
    seed: Seed = 1


@dataclass
class InfoConfig(Section):
    """Root of conf/info.yaml."""

    group: str | None = None
    option: str | None = None
    plugins: list[str] = field(default_factory=list)

    def disagreements(self) -> Iterator[str]:
        if self.option is not None and self.group is None:
            yield "option: name its group as well: group=encoder option=elmo_tiny"


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
    tokens_per_batch: Size = 4096
    field: str | None = None  # last: the name hides the function above

    def disagreements(self) -> Iterator[str]:
        yield from super().disagreements()
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
    tokens_per_batch: Size = 4096
    field: str | None = None


@dataclass
class PredictConfig(InferenceConfig):
    """Root of conf/predict.yaml; a batch_size of null is the training's."""

    run: str = MISSING
    input: str = MISSING
    output: str = "-"
    format: RecordFormat = RecordFormat.auto
    explain: bool = False
    explain_output: str | None = None
    batch_size: Size | None = None

    def disagreements(self) -> Iterator[str]:
        yield from super().disagreements()
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
    "find_lr": FindLrConfig,
    "evaluate": EvaluateConfig,
    "embed": EmbedConfig,
    "score": ScoreConfig,
    "predict": PredictConfig,
    "convert": ConvertConfig,
    "info": InfoConfig,
    "sweep": SweepConfig,
    "prepare": PrepareConfig,
    "vocabulary": VocabularyCommandConfig,
    "compare": CompareConfig,
    "rerun": RerunConfig,
    "diff": DiffConfig,
    "benchmark_embed": BenchmarkEmbedConfig,
    "benchmark_prepare": BenchmarkPrepareConfig,
    "benchmark_statistics": BenchmarkStatisticsConfig,
    "benchmark_train": BenchmarkTrainConfig,
    "tune": TuneConfig,
    "probe": ProbeConfig,
    "neighbours": NeighboursConfig,
}


def store_schemas() -> None:
    """Makes the schemas known to Hydra, as `train_schema` and so on: a yaml of that name would hide one."""
    for command, schema in SCHEMAS.items():
        ConfigStore.instance().store(name=f"{command}_schema", node=schema)


store_schemas()
