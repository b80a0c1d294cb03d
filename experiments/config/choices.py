"""The closed choices of a config: keys of the schemas whose value is one of a few words, and one in yaml."""

from __future__ import annotations

from enum import Enum
from typing import Any

from omegaconf import OmegaConf


class Precision(Enum):
    fp32 = "fp32"
    bf16 = "bf16"


class TrainingPrecision(Enum):
    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"


class MetricGoal(Enum):
    minimize = "minimize"
    maximize = "maximize"


class WandbMode(Enum):
    auto = "auto"
    offline = "offline"
    online = "online"
    disabled = "disabled"


class ConvertTarget(Enum):
    model = "model"
    official = "official"


class StartState(Enum):
    auto = "auto"
    zero = "zero"
    warm = "warm"
    carried = "carried"


class VectorType(Enum):
    float32 = "float32"
    float16 = "float16"


class RecordFormat(Enum):
    auto = "auto"
    jsonl = "jsonl"
    csv = "csv"
    tsv = "tsv"
    text = "text"


class Progress(Enum):
    auto = "auto"
    rich = "rich"
    plain = "plain"
    none = "none"


def if_equal(value: Any, other: Any, then: Any, otherwise: Any) -> Any:
    """In yaml, `${if_equal:${data.scheme},none,accuracy,f1}`: a key's value by that of another key."""
    return then if value == other else otherwise


OmegaConf.register_new_resolver("if_equal", if_equal, replace=True)
