"""The reports of a language model: counts of its corpora, perplexities, the model directory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from elmo.io.model_directory import save_model
from elmo.registry import REGISTRY
from elmo.text.vocabulary import Vocabulary
from tasks.language_model.baselines import baseline_figures
from tasks.language_model.corpus import BLOCK_SIZE, Corpus
from tasks.language_model.model import LanguageModel, make_builder, perplexities, told_batches
from tasks.sources.shared.contamination import (
    SentenceHasher,
    contamination_facts,
    save_training_sentences,
)
from tasks.task import Setup

MODEL_GROUPS = (
    "task",
    "tokenizer",
    "encoder",
    "softmax",
    "batching",
)  # the nodes that a saved model is rebuilt from


_BLOCKS = 4 * 2**22  # bytes


class LanguageModelReports:
    """The reports of a biLM's training (see `tasks.task.Reports`).

    Args:
        setup: the setup of the training.
        model: the trained model.
        vocabulary: of the softmax.
        corpora: the prepared corpora by split.
        notes: further facts for the user, of the weights that it started from.
    """

    def __init__(
        self,
        *,
        setup: Setup,
        model: LanguageModel,
        vocabulary: Vocabulary,
        corpora: Mapping[str, Corpus],
        notes: Mapping[str, str],
    ) -> None:
        self.setup, self.model, self.vocabulary = setup, model, vocabulary
        self.corpora, self.notes = corpora, notes

    def conclude(self) -> dict[str, float]:
        """The perplexities on the test split, of the model and of the baselines on the same predictions."""
        return final_figures(self.model, self.vocabulary, self.corpora, self.setup)

    def facts(self) -> dict[str, float | str]:
        """Counts of the corpora, and the size and coverage of the vocabulary."""
        facts: dict[str, float | str] = {**REGISTRY.build("data", self.setup.nodes["data"]).cut_facts()}
        for split, corpus in self.corpora.items():
            facts[f"{split} tokens"] = corpus.num_tokens
            facts[f"{split} sentences"] = corpus.num_sentences
            facts[f"{split} types"] = corpus.num_types - 2
            covered = self.vocabulary.coverage(self.vocabulary.ids_of(corpus.types), corpus.counts_V)
            facts[f"{split} coverage"] = 100 * covered
            if corpus.num_literal_markers:
                facts[f"{split} literal markers"] = (
                    f"{corpus.num_literal_markers} words are spelled <S>, </S> or <UNK>: read as words, "
                    "predicted as <UNK>"
                )
        facts["vocabulary"] = len(self.vocabulary)
        if self.model.softmax.notice is not None:
            facts["softmax"] = self.model.softmax.notice
        facts |= self.notes
        if self.setup.initial is not None:
            test = np.concatenate(list(_sentence_hashes(self.corpora["test"])))
            facts |= contamination_facts(self.setup.initial, test)
        return facts

    def table(self, figures: Mapping[str, float]) -> tuple[list[str], list[list[Any]]]:
        """Columns and rows of a table of perplexities, with those of the baselines."""
        return perplexity_table(figures)

    def activation_bytes(self, units_per_batch: int) -> int:
        """An estimate, with half as many distinct types as tokens, and some blocks of a softmax's scores."""
        encoder = self.model.encoder
        values = encoder.context.activations_per_token() + encoder.words.activations_per_word() // 2
        return 4 * (units_per_batch * values + self.model.softmax.activations(units_per_batch)) + _BLOCKS

    def write_reports(self, path: Path) -> None:
        """Nothing: a language model has no reports besides its figures."""

    def tables(self) -> dict[str, tuple[list[str], list[list[Any]]]]:
        """None: a language model has no tables besides its figures."""
        return {}

    def fingerprints(self) -> dict[str, str]:
        """The fingerprints of the prepared corpora, by split."""
        return {split: corpus.fingerprint for split, corpus in self.corpora.items()}

    def save_model(self, path: Path) -> None:
        """Write the self-contained model directory."""
        nodes = {group: self.setup.nodes[group] for group in MODEL_GROUPS}
        config = {"batch_size": self.setup.batch_size, **nodes}
        save_model(path, config=config, model=self.model, vocabulary=self.vocabulary)
        save_training_sentences(path, _sentence_hashes(self.corpora["train"]), initial=self.setup.initial)


def final_figures(
    model: LanguageModel, vocabulary: Vocabulary, corpora: Mapping[str, Corpus], setup: Setup
) -> dict[str, float]:
    """Test perplexities of the model and, if `corpora` has the train split, of the baselines."""
    batching = REGISTRY.build("batching", setup.nodes["batching"], batch_size=setup.batch_size)
    builder = make_builder(corpora["test"], vocabulary, model, setup.processes)
    batches = batching.evaluation_batches(corpora["test"], builder)
    batches = told_batches(batches, corpora["test"], setup, split="test")
    figures = perplexities(model, batches, device=setup.device, split="test", processes=setup.processes)
    if "train" in corpora and setup.processes.is_first:  # which alone writes figures
        figures |= baseline_figures(corpora, vocabulary)
    return figures


def _sentence_hashes(corpus: Corpus) -> Iterator[np.ndarray]:
    """Hashes of a corpus's sentences, in blocks of some thousand."""
    hasher = SentenceHasher(corpus.types.words())
    for start in range(0, corpus.num_sentences, BLOCK_SIZE):
        yield hasher.hashes(*corpus.read_sentences(start, min(start + BLOCK_SIZE, corpus.num_sentences)))


def perplexity_table(figures: Mapping[str, float]) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of a table of perplexities; baselines have only the forward direction."""
    directions = ("forward_", "backward_", "")
    rows: list[list[Any]] = [
        [f"biLM, {split}", *(figures[f"{split}/{direction}perplexity"] for direction in directions)]
        for split in ("dev", "test")
        if f"{split}/perplexity" in figures
    ]
    names = {"bigram": "interpolated Kneser-Ney bigram, test", "unigram": "unigram, test"}
    rows += [
        [name, figures[f"test/{kind}_perplexity"], None, None]
        for kind, name in names.items()
        if f"test/{kind}_perplexity" in figures
    ]
    return ["perplexity", "forward", "backward", "mean"], rows
