"""Made-up data of a supervised task: the setup and the training that its tests start on them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

from elmo.io.model_directory import read_model
from elmo.registry import REGISTRY
from tasks.task import Setup

WORD = {"type": "word", "size": 8, "min_count": 1, "lowercased": False}
BILM = {
    "type": "char_cnn_lstm",
    "character_embedding_size": 4,
    "filters": [[1, 4], [2, 4]],
    "num_highways": 1,
    "activation": "relu",
    "cell_size": 8,
    "projection_size": 4,
    "num_layers": 2,
    "cell_clip": 3.0,
    "projection_clip": 3.0,
    "skip_connected": True,
    "dropout": 0.1,
}
BOTH = {"type": "concat", "parts": {"words": WORD, "elmo": BILM}}
MIX = {"type": "scalar", "dropout": 0.0, "l2": 0.001, "standardized": True}
FINE_TUNING = {"trainable": False, "learning_rate_factor": 0.1, "layer_factor": 0.5, "unfreeze_every": None}
CACHED = {"cached": True, "max_gigabytes": 1.0, "dtype": "float32"}

TrainingT = TypeVar("TrainingT", bound=Any)

REGISTRY.discover("elmo", "tasks")  # for tests that build a component before any data


class SupervisedData(Generic[TrainingT]):
    """What is made of a data section; a task's tests derive from it and write its files.

    Args:
        path: of the files and the cache.
        node: the section `data`.
        nodes: `task`, `head`, and other sections in the place of those that stand here.
    """

    def __init__(self, path: Path, node: Mapping[str, Any], **nodes: Any) -> None:
        self.path, self.node, self.nodes = path, dict(node), nodes

    def setup(self, **changes: Any) -> Setup:
        """The setup of a training.

        Args:
            changes: `encoder` and `head` in the place of those of `nodes`, `task` of some of its values, and
                options of `Setup`.
        """
        nodes = {
            "encoder": WORD,
            "tokenizer": {"type": "whitespace"},
            "mix": MIX,
            **self.nodes,
            "data": self.node,
            "task": {**self.nodes["task"], **changes.pop("task", {})},
        }
        nodes |= {name: changes.pop(name) for name in ("encoder", "head") if name in changes}
        options: dict[str, Any] = {
            "vocabulary": {},
            "batch_size": 8,
            "seed": 1,
            "device": torch.device("cpu"),
            "cache_path": self.path / "cache",
            "report": lambda tokens, sentences, share: None,
            "fine_tuning": FINE_TUNING,
            "features": {**CACHED, "cached": False},
        }
        return Setup(nodes=nodes, **{**options, **changes})

    def start(self, **changes: Any) -> TrainingT:
        """The checked task's training; see `setup`."""
        torch.manual_seed(1)
        setup = self.setup(**changes)
        task = REGISTRY.build("task", setup.nodes["task"])
        task.check(setup)
        training: TrainingT = task.start(setup)
        return training

    def load(self, directory: Path) -> tuple[Any, Any, Setup]:
        """The task, the saved model and the setup that `evaluate` and `predict` make of a model directory."""
        saved = read_model(directory)
        setup = replace(self.setup(), nodes={**saved.config, "data": self.node}, fine_tuning={}, features={})
        return REGISTRY.build("task", saved.config["task"]), saved, setup

    def load_predictor(self, directory: Path) -> Any:
        """The predictor of a model directory."""
        task, saved, setup = self.load(directory)
        return task.predictor(saved, setup, name=str(directory))


def train(
    training: TrainingT,
    num_steps: int | None = None,
    *,
    learning_rate: float,
    num_epochs: float = math.inf,
) -> TrainingT:
    """Train with Adam for a number of steps or epochs; the training."""
    parameters = [p for p in training.model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=learning_rate)
    batches = training.batches()
    training.model.train()
    step = 0
    while step != num_steps and batches.epoch < num_epochs:
        optimizer.zero_grad()
        training.loss(next(batches)).backward()
        optimizer.step()
        step += 1
    return training
