"""Pairs of sentences: their labels, such as entailment or paraphrase, or how related they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from elmo.errors import InputError
from elmo.io.model_directory import CONFIG_FILE, SavedModel
from elmo.registry import REGISTRY
from elmo.values import Dropout, Size, read_record
from tasks.encoders.token_encoder import TokenEncoder
from tasks.heads.pairs.pair_head import PairHead
from tasks.sentence_pair.examples import PairExamples, all_windows, read_pairs
from tasks.sentence_pair.label_target import LabelTarget
from tasks.sentence_pair.model import PairModel, SentencePairTraining, outputs_of
from tasks.sentence_pair.predictor import PairPredictor
from tasks.sentence_pair.reports import SentencePairReports, named, score_table
from tasks.sentence_pair.score_target import ScoreTarget
from tasks.sentence_pair.target import PairTarget
from tasks.sources.labelled.source import count_labels
from tasks.sources.pairs.pair_table import PairTable
from tasks.sources.pairs.source import PairSource, Target
from tasks.sources.shared.split import SPLITS, Split
from tasks.supervised.encoder_parts import (
    EncoderParts,
    SavedParts,
    check_components,
    make_cache,
    restore_model,
)
from tasks.supervised.representation import Representation
from tasks.supervised.standardization import standardize
from tasks.task import Setup
from tasks.text_classification.windows import TextReader

_TARGETS: dict[Target, type[PairTarget]] = {"label": LabelTarget, "score": ScoreTarget}


@dataclass(frozen=True, kw_only=True)
class _SavedLabels:
    """The target of a saved model that predicts labels."""

    labels: list[str]


@dataclass(frozen=True, kw_only=True)
class _SavedScale:
    """The target of a saved model that predicts scores."""

    mean: float
    deviation: float


@dataclass(frozen=True, kw_only=True)
class _SavedConfig(SavedParts):
    """What the config.json of a model of pairs has besides its task."""

    target: dict[str, Any]


@REGISTRY.register("task", "sentence_pair")
class SentencePairTask:
    """Predict the label of a pair of sentences, or its score; which, the data says.

    Args:
        max_words: each side is truncated to this number of words, with a notice.
        injection: where contextual vectors enter the head: input, output (of its first recurrent layer) or
            both.
        word_dropout: on vectors of encoders with one layer; for several layers, `mix` has a dropout.
        dropout: on a pair's vector.
    """

    def __init__(
        self,
        *,
        max_words: Size,
        injection: Literal["input", "output", "both"],
        word_dropout: Dropout,
        dropout: Dropout,
    ) -> None:
        self.max_words, self.injection = max_words, injection
        self.word_dropout, self.dropout = word_dropout, dropout

    def check(self, setup: Setup) -> None:
        """Check the components' values without reading data; InputError for the faults."""
        build_source(setup).check_examples()
        refuse_absent_metric(setup)
        parts = check_components(setup)
        if all(part.size for part in parts.values()):
            self.build_model(setup.nodes, parts, num_outputs=2)

    def score_names(self, setup: Setup) -> list[str]:
        """Loss, accuracy, F1 and calibration on dev; or loss, correlations and the squared error."""
        return score_names(build_source(setup).target)

    def start(self, setup: Setup) -> SentencePairTraining:
        """Read and tokenize the data, and build a model with a new head."""
        source = build_source(setup)
        target = learn_target(source)
        reader = self.make_reader(setup.nodes)
        examples = {split: _read(source, split, reader, target, setup) for split in SPLITS}
        encoder = EncoderParts.start(setup, examples["train"].counts())
        model = self.build_model(setup.nodes, encoder.parts, num_outputs=target.num_outputs)
        model = model.to(setup.device)
        notices: list[str] = []
        cache = make_cache(setup, notices.append)
        for split, pairs in examples.items():
            whole = partial(all_windows, source, split, reader) if source.is_cut(split) else None
            examples[split] = replace(pairs, stores=encoder.open_stores(cache, pairs.windows, whole=whole))
        train = examples["train"]
        standardize(model.representation, train.windows, train.stores)
        return SentencePairTraining(
            setup=setup,
            model=model,
            encoder=encoder,
            examples=examples,
            target=target,
            reports=SentencePairReports(
                setup=setup,
                source=source,
                encoder=encoder,
                model=model,
                target=target,
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
            with_baselines: also score baselines, which are trained on the data's training pairs.
        """
        predictor = self.predictor(saved, setup, name=name)
        target, source = predictor.target, build_source(setup)
        source.check_examples(SPLITS if with_baselines else ("test",))
        if not isinstance(target, _TARGETS[source.target]):
            raise InputError(f"data.target: {source.target}, but the model of {name} predicts the other")
        test = _read(source, "test", predictor.reader, target, setup)
        outputs_NK = outputs_of(
            predictor.model, test, batch_size=setup.batch_size, split="test", tell=setup.tell
        )
        figures = named("test", target.scores(outputs_NK, test.gold_N))
        if with_baselines:
            train = _read(source, "train", predictor.reader, target, setup)
            figures |= named("test", target.baselines(train, test))
        return {**figures, "test/pairs": len(test)}

    def predictor(self, saved: SavedModel, setup: Setup, *, name: str) -> PairPredictor:
        """The predictor of the model in the directory `name`.

        Raises:
            InputError: its config lacks something, or its weights and config disagree.
        """
        config = saved.config
        read_record(_SavedConfig, config, name=f"{name}: {CONFIG_FILE}", is_open=True)
        target = saved_target(config["target"], name=f"{name}: {CONFIG_FILE}: target")
        build = partial(self.build_model, config, num_outputs=target.num_outputs)
        return PairPredictor(
            model=restore_model(saved, build, device=setup.device, name=name),
            reader=self.make_reader(config),
            target=target,
            table=read_record(PairTable, config.get("table", {}), name=f"{name}: {CONFIG_FILE}: table"),
        )

    def table(self, figures: Mapping[str, float]) -> tuple[list[str], list[list[Any]]]:
        """A table of the test scores and those of the baselines."""
        return score_table(figures)

    def make_reader(self, nodes: Mapping[str, Any]) -> TextReader:
        """The reader of a side: one window, each line of it a sentence."""
        return TextReader(
            tokenizer=REGISTRY.build("tokenizer", nodes["tokenizer"]),
            prose=False,
            language="en",
            window_words=self.max_words,
            max_words=self.max_words,
        )

    def build_model(
        self, nodes: Mapping[str, Any], parts: Mapping[str, TokenEncoder], *, num_outputs: int
    ) -> PairModel:
        """A model with a new head; InputError if the values disagree."""
        representation = Representation(
            parts=parts, mix=nodes["mix"], injection=self.injection, word_dropout=self.word_dropout
        )
        head = REGISTRY.build(
            "head",
            nodes["head"],
            input_size=representation.input_size,
            injected_size=representation.injected_size,
        )
        if not isinstance(head, PairHead):
            raise InputError(
                f"head.type: {nodes['head']['type']} is not a head for pairs of sentences; head=esim is one"
            )
        return PairModel(
            representation=representation, head=head, num_outputs=num_outputs, dropout=self.dropout
        )


def build_source(setup: Setup) -> PairSource:
    """The source of the pairs; InputError if it has none."""
    source = REGISTRY.build("data", setup.nodes["data"])
    if not isinstance(source, PairSource):
        raise InputError(f"data.type: {setup.nodes['data']['type']} has no pairs; data=sick has some")
    return source


def learn_target(source: PairSource) -> PairTarget:
    """What is predicted, with the labels or the scale of all training pairs, also of those that are cut.

    Raises:
        InputError: there is nothing to tell apart.
    """
    if source.target == "score":
        return ScoreTarget.of([float(pair.score or 0) for pair in source.examples("train")])
    labels = sorted(count_labels(source.examples("train")))
    if len(labels) < 2:
        found = f"only the label {labels[0]!r}" if labels else "no label"
        raise InputError(f"data: the training pairs have {found}; a classifier needs at least two")
    return LabelTarget(labels=labels)


def saved_target(values: Mapping[str, Any], *, name: str) -> PairTarget:
    """The target of a saved model; InputError that begins with `name` if the values are none."""
    if "labels" in values:
        return LabelTarget(labels=read_record(_SavedLabels, values, name=name).labels)
    scale = read_record(_SavedScale, values, name=name)
    return ScoreTarget(mean=scale.mean, deviation=scale.deviation)


def score_names(target: Target) -> list[str]:
    """The names of the scores on dev."""
    return [f"dev/{name}" for name in _TARGETS[target].score_names]


def refuse_absent_metric(setup: Setup) -> None:
    """InputError if the metric is a score of the other target."""
    source = build_source(setup)
    names = score_names(source.target)
    if setup.metric is not None and setup.metric not in names:
        preset = {"label": "sentence_pair", "score": "relatedness"}[source.target]
        raise InputError(
            f"trainer.metric: no score {setup.metric!r} of pairs with a {source.target}; task={preset} has"
            f" one; all: {', '.join(names)}"
        )


def _read(
    source: PairSource, split: Split, reader: TextReader, target: PairTarget, setup: Setup
) -> PairExamples:
    return read_pairs(source, split, reader, gold=target.gold, seed=setup.seed, report=setup.report)
