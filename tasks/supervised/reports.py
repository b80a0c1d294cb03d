"""What the reports of all tasks with gold answers have in common (see `tasks.task.Reports`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from torch import nn

from elmo.io.model_directory import save_model
from elmo.registry import REGISTRY
from tasks.sources.shared.fingerprint import fingerprint_of
from tasks.sources.shared.split import SPLITS, Split
from tasks.supervised.encoder_parts import EncoderParts
from tasks.task import Setup

MODEL_GROUPS = ("task", "tokenizer", "mix", "head")  # what a model is rebuilt from, with its encoder

Table: TypeAlias = tuple[list[str], list[list[Any]]]  # columns, rows


class Examples(Protocol):
    """A source of examples, as far as reports and checks need it."""

    def check_examples(self) -> None: ...

    def describe_examples(self, split: Split) -> dict[str, Any]: ...


class SupervisedReports(ABC):
    """The fingerprints of the examples, and the model directory.

    Attributes:
        setup: that the training began with.
        source: of the examples.
        encoder: the parts of the model's encoder.
        model: that is trained.
    """

    setup: Setup
    source: Examples
    encoder: EncoderParts
    model: nn.Module

    @abstractmethod
    def saved_facts(self) -> dict[str, Any]:
        """What a saved model's config has beside its components."""

    def fingerprints(self) -> dict[str, str]:
        """Of each split's examples and words."""
        tokenizer = REGISTRY.build("tokenizer", self.setup.nodes["tokenizer"]).fingerprint()
        facts = {split: [self.source.describe_examples(split), tokenizer] for split in SPLITS}
        return {split: fingerprint_of(facts[split], cache_path=self.setup.cache_path) for split in SPLITS}

    def save_model(self, path: Path) -> None:
        """Write the self-contained model directory."""
        config = {
            **{group: self.setup.nodes[group] for group in MODEL_GROUPS},
            **self.encoder.saved_config(),
            "batch_size": self.setup.batch_size,
            **self.saved_facts(),
        }
        save_model(path, config=config, model=self.model, words=self.encoder.word_lists())
