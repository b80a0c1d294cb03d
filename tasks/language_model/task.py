"""The language model task: starts the pretraining of a biLM, and evaluates a trained one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

import torch

from elmo.bilm.bilm import BiLm
from elmo.errors import InputError
from elmo.io.loading import load_bilm_node
from elmo.io.model_directory import SavedModel
from elmo.registry import REGISTRY
from elmo.text.vocabulary import MARKERS, Vocabulary
from elmo.values import Positive, Range
from tasks.language_model.corpus import Corpus
from tasks.language_model.initial import load_initial, start_from
from tasks.language_model.model import (
    LanguageModelTraining,
    build_model,
    load_language_model,
    score_names,
)
from tasks.language_model.preparation import prepare_corpus
from tasks.language_model.reports import LanguageModelReports, final_figures, perplexity_table
from tasks.sources.shared.split import SPLITS, Split
from tasks.sources.text.source import Source
from tasks.task import Predictor, Setup

STAND_IN_TYPES = 10_000_000  # vocabulary size for checks where only the text would tell it


@REGISTRY.register("task", "language_model")
class LanguageModelTask:
    """Predict each word from the words before it, and from the words after it.

    Args:
        loss_scale: factor of the loss before the backward pass. It matters to optimizers such as Adagrad,
            whose accumulator does not start at zero; the original training used the number of steps, 20.
        frozen_steps: number of first steps in which the encoder of `init_from` stays as it is, while the
            softmax learns.
    """

    def __init__(self, *, loss_scale: Positive, frozen_steps: Annotated[int, Range(0, 10**12)] = 0) -> None:
        self.loss_scale, self.frozen_steps = loss_scale, frozen_steps

    def check(self, setup: Setup) -> None:
        """Check the components' values without reading the corpus; InputError for the faults."""
        if self.frozen_steps and setup.initial is None:
            raise InputError(
                "task.frozen_steps: a new encoder has nothing to keep; give init_from, or leave it out"
            )
        with torch.device("meta"):
            model = build_model(setup.nodes, num_types=_most_types(setup.vocabulary))
        batching = REGISTRY.build("batching", setup.nodes["batching"], batch_size=setup.batch_size)
        _check_batching(batching, model.encoder, name=setup.nodes["batching"]["type"])
        REGISTRY.build("tokenizer", setup.nodes["tokenizer"])
        build_source(setup.nodes["data"]).check()

    def score_names(self, setup: Setup) -> list[str]:
        """Perplexities on dev."""
        return score_names("dev")

    def start(self, setup: Setup) -> LanguageModelTraining:
        """Prepare the corpora and the vocabulary, and build a new model, or go on with that of `initial`."""
        initial = None if setup.initial is None else load_initial(setup.initial)
        corpora = _readable_corpora(setup, SPLITS)
        vocabulary = _make_vocabulary(setup.vocabulary, corpora["train"])
        model = build_model(setup.nodes, num_types=len(vocabulary))
        notes = {} if initial is None else start_from(initial, model, vocabulary)
        reports = LanguageModelReports(
            setup=setup, model=model, vocabulary=vocabulary, corpora=corpora, notes=notes
        )
        return LanguageModelTraining(
            setup=setup,
            model=model,
            vocabulary=vocabulary,
            corpora=corpora,
            loss_scale=self.loss_scale,
            frozen_steps=self.frozen_steps,
            reports=reports,
        )

    def initial_encoder(self, initial: str) -> Mapping[str, Any]:
        """The `encoder` node of the biLM that `initial` names; InputError: it reads whole words."""
        node = load_bilm_node(initial)
        cls = REGISTRY.get("encoder", node["type"])
        if issubclass(cls, BiLm) and cls.needs_vocabulary:
            raise InputError(f"init_from={initial}: reads whole words; only a biLM of characters is trained")
        return node

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
        corpora = _readable_corpora(setup, splits)
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
    source = build_source(setup.nodes["data"])
    source.check(splits)
    tokenizer = REGISTRY.build("tokenizer", setup.nodes["tokenizer"])
    return {
        split: prepare_corpus(
            source,
            tokenizer,
            cache_path=setup.cache_path,
            split=split,
            seed=setup.seed,
            progress=setup.report,
        )
        for split in splits
    }


def _readable_corpora(setup: Setup, splits: Collection[Split]) -> dict[str, Corpus]:
    """As `prepare_corpora`; InputError for a split with a sentence that no batch can hold."""
    corpora = prepare_corpora(setup, splits)
    batching = REGISTRY.build("batching", setup.nodes["batching"], batch_size=setup.batch_size)
    for split, corpus in corpora.items():
        num_words = corpus.longest_sentence
        if batching.most_words is not None and num_words > batching.most_words:
            raise InputError(
                f"data: a sentence of the {split} text has {num_words:,} words, more than"
                f" {batching.most_words:,}; data.prose=true splits paragraphs into sentences, and"
                " batching=stream reads sentences of any length"
            )
    return corpora


def _check_batching(batching: Any, encoder: BiLm, *, name: str) -> None:
    """InputError if the batching `name` carries a state and the encoder has none."""
    if batching.carries_state and not encoder.carries_state:
        raise InputError(
            f"batching: {name} carries the encoder's state from batch to batch, and this encoder has none;"
            " choose batching=sentences"
        )


def build_source(node: Mapping[str, Any]) -> Source:
    """The source of running text of a config's `data` node; InputError: it is none of running text."""
    source = REGISTRY.build("data", node)
    if not isinstance(source, Source):
        raise InputError(
            f"data: {node['type']} has examples of a task; expected running text, such as"
            " data=sotu, data=text or data=hub"
        )
    return source


def _most_types(options: Mapping[str, Any]) -> int:
    """The largest size that the vocabulary can have, as far as it is known before the text is read."""
    if options["path"] is not None:
        return len(Vocabulary.from_file(Path(options["path"])))
    return STAND_IN_TYPES if options["max_size"] is None else max(options["max_size"], len(MARKERS) + 1)


def _make_vocabulary(options: Mapping[str, Any], corpus: Corpus) -> Vocabulary:
    if options["path"] is not None:
        return Vocabulary.from_file(Path(options["path"]))
    return Vocabulary.from_counts(
        corpus.types, corpus.counts_V, min_count=options["min_count"], max_size=options["max_size"]
    )
