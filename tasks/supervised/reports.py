"""The common part of the reports of all supervised tasks (see `tasks.task.Reports`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias, cast

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
from tasks.supervised.mix_report import draw_mixes, mix_figures, mix_lines, mix_table
from tasks.supervised.representation import Representation
from tasks.task import Setup

MODEL_GROUPS = (
    "task",
    "tokenizer",
    "mix",
    "head",
)  # the nodes that a saved model is rebuilt from, besides its encoder

Table: TypeAlias = tuple[list[str], list[list[Any]]]  # columns, rows


class Examples(Protocol):
    """The methods of a source of examples that reports and checks need."""

    def check_examples(self) -> None: ...

    def describe_examples(self, split: Split) -> dict[str, Any]: ...

    def describe_cut(self, split: Split, *, seed: int) -> dict[str, Any]: ...


class SplitExamples(Protocol):
    """The methods of one split's examples that all reports need."""

    def sentences(self) -> list[Sequence[str]]:
        """All sentences of the examples, as lists of words."""
        ...


class SupervisedReports(ABC):
    """Fingerprints of the data, contamination of the test split, and the model directory.

    Attributes:
        setup: the setup of the training.
        source: the source of the examples.
        encoder: the parts of the model's encoder.
        model: the trained model; its attribute `representation` is a `Representation`.
        examples: the examples of each split.
    """

    setup: Setup
    source: Examples
    encoder: EncoderParts
    model: nn.Module
    examples: Mapping[Split, SplitExamples]

    @abstractmethod
    def saved_facts(self) -> dict[str, Any]:
        """The entries of a saved model's config besides its components."""

    def fingerprints(self) -> dict[str, str]:
        """A fingerprint of each split's examples, as this run reads them, and tokenizer."""
        tokenizer = REGISTRY.build("tokenizer", self.setup.nodes["tokenizer"]).fingerprint()
        found: dict[str, str] = {}
        for split in SPLITS:
            cut = self.source.describe_cut(split, seed=self.setup.seed)
            facts = [self.source.describe_examples(split) | cut, tokenizer]
            found[split] = fingerprint_of(facts, cache_path=self.setup.cache_path)
        return found

    def contamination(self) -> dict[str, str]:
        """A warning for the user if the biLM of `init_from` was trained on test texts."""
        if self.setup.initial is None:
            return {}
        return contamination_facts(self.setup.initial, hash_sentences(self.examples["test"].sentences()))

    def mix_tables(self) -> dict[str, Table]:
        """The table `mix` of these weights, if there are any."""
        figures = self.mix_figures()
        return {"mix": mix_table(figures)} if figures else {}

    def draw_mixes(self, path: Path) -> None:
        """Draw these weights, if there are any, into `plots/mix.png` of a run's directory."""
        draw_mixes(path / "plots" / "mix.png", self.mix_figures())

    def mix_figures(self) -> dict[str, float]:
        """The weights that the model's mixes have learned, by metric name."""
        return mix_figures(cast(Representation, self.model.representation))

    def save_model(self, path: Path) -> None:
        """Write the self-contained model directory."""
        config = {
            **{group: self.setup.nodes[group] for group in MODEL_GROUPS if group in self.setup.nodes},
            **self.encoder.saved_config(),
            "batch_size": self.setup.batch_size,
            **self.saved_facts(),
        }
        save_model(path, config=config, model=self.model, words=self.encoder.word_lists())
        if BILM in config:
            read = self.examples["train"].sentences() if self.setup.fine_tuning["trainable"] else []
            save_training_sentences(path, [hash_sentences(read)], initial=self.setup.initial)


def with_mixes(table: Table, figures: Mapping[str, float]) -> Table:
    """A table of scores with a line below it for each mix in the figures."""
    columns, rows = table
    return columns, [*rows, *([line, *[None] * (len(columns) - 1)] for line in mix_lines(figures))]
