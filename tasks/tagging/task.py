"""Tags of words: parts of speech, or spans such as entities, chunks and semantic roles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal

from elmo.errors import InputError
from elmo.io.model_directory import CONFIG_FILE, SavedModel
from elmo.registry import REGISTRY
from elmo.values import Dropout, Length, Size, read_record
from tasks.encoders.token_encoder import TokenEncoder
from tasks.heads.tags.tag_head import TagHead
from tasks.sources.shared.split import SPLITS, Split
from tasks.sources.tagged.source import TaggedSource
from tasks.supervised.encoder_parts import (
    EncoderParts,
    SavedParts,
    check_components,
    make_cache,
    restore_model,
)
from tasks.supervised.representation import Representation, Window
from tasks.supervised.standardization import standardize
from tasks.tagging.baselines import baseline_figures
from tasks.tagging.examples import TagExamples, read_examples
from tasks.tagging.figures import final_figures, score_names, score_table
from tasks.tagging.labels import LabelScheme, LabelSet
from tasks.tagging.model import Tagger, TaggingTraining, predict_tags
from tasks.tagging.predictor import TagPredictor
from tasks.tagging.reports import TaggingReports
from tasks.task import Setup


@dataclass(frozen=True, kw_only=True)
class _SavedLabels:
    """The labels that a model predicts."""

    names: Annotated[list[str], Length(2, 1_000_000)]
    scheme: LabelScheme


@dataclass(frozen=True, kw_only=True)
class _SavedSentences:
    """How a model's sentences were read."""

    language: str
    has_predicates: bool


@dataclass(frozen=True, kw_only=True)
class _SavedConfig(SavedParts):
    """What the config.json of a tagger has besides its task."""

    labels: _SavedLabels
    sentences: _SavedSentences


@REGISTRY.register("task", "tagging")
class TaggingTask:
    """Predict a tag for each word.

    Args:
        scheme: of the labels that are learned if tags are spans: bio or bioul (Ratinov and Roth 2009).
        window_words: largest number of words that are read at once; a longer sentence is read in pieces.
        injection: where contextual vectors enter the head: input, output (of its recurrent layers) or both.
        word_dropout: on vectors of encoders with one layer; for several layers, `mix` has a dropout.
        indicator_size: size of the embedding that tells the predicate from other words (He et al. 2017), for
            data with predicates.
    """

    def __init__(
        self,
        *,
        scheme: Literal["bio", "bioul"],
        window_words: Size,
        injection: Literal["input", "output", "both"],
        word_dropout: Dropout,
        indicator_size: Size,
    ) -> None:
        self.scheme: Literal["bio", "bioul"] = scheme
        self.window_words, self.injection = window_words, injection
        self.word_dropout, self.indicator_size = word_dropout, indicator_size

    def check(self, setup: Setup) -> None:
        """Check the components' values without reading data; InputError for the faults."""
        source = build_source(setup)
        source.check_examples()
        parts = check_components(setup)
        if all(part.size for part in parts.values()):
            labels = LabelSet(["A", "B"], scheme="none")
            self.build_model(setup.nodes, parts, labels=labels, has_predicates=source.has_predicates)

    def score_names(self, setup: Setup) -> list[str]:
        """Accuracy on dev and, if tags are spans, their F1, precision and recall."""
        return [f"dev/{name}" for name in score_names(has_spans=build_source(setup).has_spans)]

    def start(self, setup: Setup) -> TaggingTraining:
        """Read the data, and build a model with a new head."""
        source = build_source(setup)
        examples = {split: self._read(source, split, seed=setup.seed) for split in SPLITS}
        labels = LabelSet.of_tags(
            examples["train"].tags(), scheme=self.scheme if source.has_spans else "none"
        )
        encoder = EncoderParts.start(setup, examples["train"].counts())
        model = self.build_model(
            setup.nodes, encoder.parts, labels=labels, has_predicates=source.has_predicates
        ).to(setup.device)
        notices: list[str] = []
        cache = make_cache(setup, notices.append)
        for split, read in examples.items():
            whole = partial(self._all_windows, source, split) if source.is_cut(split) else None
            stores = encoder.open_stores(cache, read.windows(), whole=whole)
            examples[split] = replace(read, stores=stores)
        train = examples["train"]
        examples["train"] = replace(train, gold=train.gold_ids(labels))
        standardize(model.representation, train.windows(), train.stores)
        return TaggingTraining(
            setup=setup,
            model=model,
            encoder=encoder,
            labels=labels,
            examples=examples,
            reports=TaggingReports(
                setup=setup,
                source=source,
                encoder=encoder,
                model=model,
                labels=labels,
                examples=examples,
                notices=notices,
            ),
        )

    def evaluate(
        self, saved: SavedModel, setup: Setup, *, with_baselines: bool, name: str
    ) -> dict[str, float]:
        """The scores of a trained model on the test split of `setup`'s data.

        Args:
            saved: the content of the model directory `name`.
            setup: its node `data` may be any; all other nodes are the model's own.
            with_baselines: also score the baseline and words that are not in training, for which the data's
                training sentences are read.
        """
        predictor, source = self.predictor(saved, setup, name=name), build_source(setup)
        source.check_examples(SPLITS if with_baselines else ("test",))
        labels = predictor.labels
        _refuse_other_kind(source, labels, has_predicates=predictor.model.indicator is not None)
        test = self._read(source, "test", seed=setup.seed)
        predicted = predict_tags(
            predictor.model, test, labels, batch_size=setup.batch_size, split="test", tell=setup.tell
        )
        if not with_baselines:
            return final_figures(test.tagged, predicted, labels)
        train = self._read(source, "train", seed=setup.seed)
        figures = final_figures(test.tagged, predicted, labels, known=train.counts())
        return figures | baseline_figures(train, test, labels)

    def predictor(self, saved: SavedModel, setup: Setup, *, name: str) -> TagPredictor:
        """The predictor of the model in the directory `name`.

        Raises:
            InputError: its config lacks something, or its weights and config disagree.
        """
        config = saved.config
        read_record(_SavedConfig, config, name=f"{name}: {CONFIG_FILE}", is_open=True)
        labels, sentences = LabelSet(**config["labels"]), config["sentences"]
        build = partial(self.build_model, config, labels=labels, has_predicates=sentences["has_predicates"])
        return TagPredictor(
            model=restore_model(saved, build, device=setup.device, name=name),
            labels=labels,
            tokenizer=REGISTRY.build("tokenizer", config["tokenizer"]),
            language=sentences["language"],
            window_words=self.window_words,
            batch_size=setup.batch_size,
        )

    def table(self, figures: Mapping[str, float]) -> tuple[list[str], list[list[Any]]]:
        """A table of the test scores and those of the baseline."""
        return score_table(figures)

    def build_model(
        self,
        nodes: Mapping[str, Any],
        parts: Mapping[str, TokenEncoder],
        *,
        labels: LabelSet,
        has_predicates: bool,
    ) -> Tagger:
        """A tagger with a new head; InputError if the values disagree."""
        representation = Representation(
            parts=parts, mix=nodes["mix"], injection=self.injection, word_dropout=self.word_dropout
        )
        indicator_size = self.indicator_size if has_predicates else 0
        head = REGISTRY.build(
            "head",
            nodes["head"],
            input_size=representation.input_size + indicator_size,
            injected_size=representation.injected_size,
        )
        if not isinstance(head, TagHead):
            raise InputError(f"head.type: {nodes['head']['type']} is not a head for tagging")
        return Tagger(
            representation=representation,
            head=head,
            labels=labels,
            indicator_size=indicator_size,
        )

    def _read(self, source: TaggedSource, split: Split, *, seed: int) -> TagExamples:
        return read_examples(source, split, window_words=self.window_words, seed=seed)

    def _all_windows(self, source: TaggedSource, split: Split) -> list[Window]:
        """The windows of a whole split, also of one that is cut."""
        return TagExamples.of(
            source.examples(split), window_words=self.window_words, has_predicates=source.has_predicates
        ).windows()


def build_source(setup: Setup) -> TaggedSource:
    """The source of the sentences; InputError if it has no tags."""
    source = REGISTRY.build("data", setup.nodes["data"])
    if not isinstance(source, TaggedSource):
        raise InputError(f"data.type: {setup.nodes['data']['type']} has no tagged words; data=ewt has some")
    return source


def _refuse_other_kind(source: TaggedSource, labels: LabelSet, *, has_predicates: bool) -> None:
    """InputError if the data's tags are of another kind than those of the model's training."""
    if source.has_spans != labels.has_spans:
        raise InputError(
            f"data.scheme: {source.scheme}, whose tags are {'spans' if source.has_spans else 'no spans'};"
            f" those of the model's training are {'spans' if labels.has_spans else 'no spans'}"
        )
    if source.has_predicates != has_predicates:
        raise InputError(
            f"data: its tags are {'' if source.has_predicates else 'not '}about predicates, unlike those of"
            " the model's training"
        )
