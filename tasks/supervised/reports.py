"""What the reports of all tasks with gold answers have in common (see `tasks.task.Reports`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from torch import nn

from elmo.io.model_directory import BILM, save_model
from elmo.registry import REGISTRY
from tasks.sources.shared.contamination import (
    contamination_facts,
    hash_sentences,
    save_training_sentences,
)
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


class SplitExamples(Protocol):
    """The examples of one split, as far as all reports need them."""

    def sentences(self) -> list[Sequence[str]]:
        """All their sentences, each once."""
        ...


class SupervisedReports(ABC):
    """The fingerprints of the examples, and the model directory.

    Attributes:
        setup: that the training began with.
        source: of the examples.
        encoder: the parts of the model's encoder.
        model: that is trained.
        examples: of each split.
    """

    setup: Setup
    source: Examples
    encoder: EncoderParts
    model: nn.Module
    examples: Mapping[Split, SplitExamples]

    @abstractmethod
    def saved_facts(self) -> dict[str, Any]:
        """What a saved model's config has beside its components."""

    def fingerprints(self) -> dict[str, str]:
        """Of each split's examples and words."""
        tokenizer = REGISTRY.build("tokenizer", self.setup.nodes["tokenizer"]).fingerprint()
        facts = {split: [self.source.describe_examples(split), tokenizer] for split in SPLITS}
        return {split: fingerprint_of(facts[split], cache_path=self.setup.cache_path) for split in SPLITS}

    def contamination(self) -> dict[str, str]:
        """A fact for the user if the biLM that the run starts from has read the test texts."""
        if self.setup.initial is None:
            return {}
        return contamination_facts(self.setup.initial, hash_sentences(self.examples["test"].sentences()))

    def save_model(self, path: Path) -> None:
        """Write the self-contained model directory."""
        config = {
            **{group: self.setup.nodes[group] for group in MODEL_GROUPS},
            **self.encoder.saved_config(),
            "batch_size": self.setup.batch_size,
            **self.saved_facts(),
        }
        save_model(path, config=config, model=self.model, words=self.encoder.word_lists())
        if BILM in config:
            read = self.examples["train"].sentences() if self.setup.fine_tuning["trainable"] else []
            save_training_sentences(path, [hash_sentences(read)], initial=self.setup.initial)
