"""The language model task: starts the pretraining of a biLM, and evaluates a trained one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from elmo.errors import InputError
from elmo.io.model_directory import SavedModel, read_model
from elmo.registry import REGISTRY
from elmo.text.vocabulary import Vocabulary
from elmo.values import Positive
from tasks.language_model.corpus import Corpus
from tasks.language_model.model import (
    LanguageModelTraining,
    build_model,
    check_batching,
    load_language_model,
)
from tasks.language_model.preparation import prepare_corpus
from tasks.language_model.reports import LanguageModelReports, final_figures, perplexity_table
from tasks.sources.shared.split import SPLITS, Split
from tasks.task import Predictor, Setup

STAND_IN_TYPES = 10_000_000  # vocabulary size for checks on the meta device, before the real one is known


@REGISTRY.register("task", "language_model")
class LanguageModelTask:
    """Predict each word from the words before it, and from the words after it.

    Args:
        loss_scale: factor of the loss before the backward pass. It matters to optimizers such as Adagrad,
            whose accumulator does not start at zero; the original training used the number of steps, 20.
    """

    def __init__(self, *, loss_scale: Positive) -> None:
        self.loss_scale = loss_scale

    def check(self, setup: Setup) -> None:
        """Check the components' values without reading the corpus; InputError for the faults."""
        with torch.device("meta"):
            model = build_model(setup.nodes, num_types=STAND_IN_TYPES)
        batching = REGISTRY.build("batching", setup.nodes["batching"], batch_size=setup.batch_size)
        check_batching(batching, model.encoder, name=setup.nodes["batching"]["type"])
        REGISTRY.build("tokenizer", setup.nodes["tokenizer"])
        REGISTRY.build("data", setup.nodes["data"]).check()
        if setup.vocabulary["path"] is not None:
            Vocabulary.from_file(Path(setup.vocabulary["path"]))

    def start(self, setup: Setup) -> LanguageModelTraining:
        """Prepare the corpora and the vocabulary, and build a new model."""
        initial = None if setup.initial is None else read_model(Path(setup.initial))
        corpora = prepare_corpora(setup, SPLITS)
        vocabulary = _make_vocabulary(setup.vocabulary, corpora["train"])
        model = build_model(setup.nodes, num_types=len(vocabulary))
        reports = LanguageModelReports(setup=setup, model=model, vocabulary=vocabulary, corpora=corpora)
        return LanguageModelTraining(
            setup=setup,
            model=model,
            vocabulary=vocabulary,
            corpora=corpora,
            loss_scale=self.loss_scale,
            initial=initial,
            reports=reports,
        )

    def evaluate(
        self, saved: SavedModel, setup: Setup, *, with_baselines: bool, name: str
    ) -> dict[str, float]:
        """The perplexities of a trained model on the test split of `setup`'s data.

        Args:
            saved: the content of the model directory `name`.
            setup: its node `data` may be any; all other nodes are the model's own.
            with_baselines: also score baselines, which are estimated from the data's training text.
        """
        model, vocabulary = load_language_model(saved, name=name)
        model.to(setup.device)
        splits: list[Split] = ["train", "test"] if with_baselines else ["test"]
        corpora = prepare_corpora(setup, splits)
        return final_figures(model, vocabulary, corpora, setup)

    def predictor(self, saved: SavedModel, setup: Setup, *, name: str) -> Predictor:
        """Raises InputError: a language model has no predictor."""
        raise InputError(
            f"{name}: a language model has no predictions; experiments.score scores text with it"
        )

    def table(self, figures: Mapping[str, float]) -> tuple[list[str], list[list[Any]]]:
        """Columns and rows of a table of perplexities, with those of the baselines."""
        return perplexity_table(figures)


def prepare_corpora(setup: Setup, splits: Collection[Split]) -> dict[str, Corpus]:
    """Open the corpora of a source's splits; prepares them first if needed."""
    source = REGISTRY.build("data", setup.nodes["data"])
    source.check(splits)
    tokenizer = REGISTRY.build("tokenizer", setup.nodes["tokenizer"])
    return {
        split: prepare_corpus(
            source, tokenizer, cache_path=setup.cache_path, split=split, progress=setup.report
        )
        for split in splits
    }


def _make_vocabulary(options: Mapping[str, Any], corpus: Corpus) -> Vocabulary:
    if options["path"] is not None:
        return Vocabulary.from_file(Path(options["path"]))
    return Vocabulary.from_counts(
        corpus.types, corpus.counts_V, min_count=options["min_count"], max_size=options["max_size"]
    )
