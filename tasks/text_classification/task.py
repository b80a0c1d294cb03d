"""Text classification: sentiment, topics, types of questions, with one label or several.

Shape legend: N texts, V labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal

from elmo.errors import InputError
from elmo.io.model_directory import CONFIG_FILE, SavedModel
from elmo.registry import REGISTRY
from elmo.values import Count, Dropout, Length, Range, Size, read_record
from tasks.encoders.token_encoder import TokenEncoder
from tasks.heads.text_head import TextHead
from tasks.sources.labelled.source import LabelledSource
from tasks.sources.labelled.text_table import TextTable
from tasks.sources.shared.split import SPLITS, Split
from tasks.supervised.encoder_parts import (
    EncoderParts,
    SavedParts,
    check_components,
    make_cache,
    restore_model,
)
from tasks.supervised.representation import Representation, Window
from tasks.supervised.standardization import standardize
from tasks.task import Setup
from tasks.text_classification.baselines import baseline_figures
from tasks.text_classification.examples import read_examples, read_labels
from tasks.text_classification.model import Classifier, TextClassificationTraining, label_weights, logits_of
from tasks.text_classification.predictor import TextPredictor
from tasks.text_classification.reports import TextClassificationReports, named, score_table
from tasks.text_classification.scores import Decision, score_names, scores
from tasks.text_classification.windows import TextReader


@dataclass(frozen=True, kw_only=True)
class _SavedTexts:
    """How a model's texts were read, as its config.json says."""

    prose: bool
    language: str


@dataclass(frozen=True, kw_only=True)
class _SavedConfig(SavedParts):
    """What the config.json of a text classifier has besides its task."""

    labels: Annotated[list[str], Length(1, 1_000_000)]
    multi_label: bool
    texts: _SavedTexts


@REGISTRY.register("task", "text_classification")
class TextClassificationTask:
    """Predict the label, or labels, of a text.

    Args:
        window_words: largest number of words in a window. Long texts are split into windows of whole
            sentences, whose vectors are combined by attention; a longer sentence is split into pieces. No
            word is lost.
        max_words: texts are truncated to this number of words, with a notice; None: no limit.
        injection: where contextual vectors enter the head: input, output (of its recurrent layer) or both.
        word_dropout: on vectors of encoders with one layer; for several layers, `mix` has a dropout.
        dropout: on a text's vector.
        label_smoothing: the fraction of the probability mass that is spread evenly over the labels.
        class_weights: `balanced` gives rare labels larger weights, so that all labels have the same total
            weight; with several labels, so that texts with and without a label have the same total weight.
        threshold: probability from which on a label is predicted, for texts that may have several.
    """

    def __init__(
        self,
        *,
        window_words: Size,
        max_words: Count | None,
        injection: Literal["input", "output", "both"],
        word_dropout: Dropout,
        dropout: Dropout,
        label_smoothing: Dropout,
        class_weights: Literal["none", "balanced"],
        threshold: Annotated[float, Range(0, 1, above=True, below=True)],
    ) -> None:
        self.window_words, self.max_words = window_words, max_words
        self.injection, self.word_dropout, self.dropout = injection, word_dropout, dropout
        self.label_smoothing, self.class_weights = label_smoothing, class_weights
        self.threshold = threshold

    def check(self, setup: Setup) -> None:
        """Check the components' values without reading data; InputError for the faults."""
        build_source(setup).check_examples()
        parts = check_components(setup)
        if all(part.size for part in parts.values()):
            self.build_model(setup.nodes, parts, num_labels=2)

    def score_names(self, setup: Setup) -> list[str]:
        """Loss, accuracy, F1 and calibration on dev."""
        return list(
            named("dev", dict.fromkeys(score_names(multi_label=build_source(setup).multi_label), 0.0))
        )

    def start(self, setup: Setup) -> TextClassificationTraining:
        """Read and tokenize the data, and build a model with a new head."""
        source = build_source(setup)
        labels = read_labels(source)
        reader = self.make_reader(setup.nodes, prose=source.prose, language=source.language)
        examples = {
            split: read_examples(source, split, reader, labels, seed=setup.seed, report=setup.report)
            for split in SPLITS
        }
        encoder = EncoderParts.start(setup, examples["train"].counts())
        model = self.build_model(setup.nodes, encoder.parts, num_labels=len(labels)).to(setup.device)
        notices: list[str] = []
        cache = make_cache(setup, notices.append)
        for split, texts in examples.items():
            whole = partial(_all_windows, source, split, reader) if source.is_cut(split) else None
            stores = encoder.open_stores(cache, texts.windows, whole=whole)
            examples[split] = replace(texts, stores=stores)
        train = examples["train"]
        standardize(model.representation, train.windows, train.stores)
        decision = Decision(source.multi_label, self.threshold)
        is_balanced = self.class_weights == "balanced"
        return TextClassificationTraining(
            setup=setup,
            model=model,
            encoder=encoder,
            examples=examples,
            decision=decision,
            weights_V=label_weights(train.gold_NV, multi_label=source.multi_label) if is_balanced else None,
            label_smoothing=self.label_smoothing,
            reports=TextClassificationReports(
                setup=setup,
                source=source,
                encoder=encoder,
                model=model,
                labels=labels,
                decision=decision,
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
            with_baselines: also score baselines, which are trained on the data's training texts.
        """
        predictor = self.predictor(saved, setup, name=name)
        source = build_source(setup)
        source.check_examples(SPLITS if with_baselines else ("test",))
        if source.multi_label != predictor.decision.multi_label:
            raise InputError(
                f"data: its texts have {'several labels' if source.multi_label else 'one label'} each,"
                f" those of the model's training not"
            )
        reader = self.make_reader(setup.nodes, prose=source.prose, language=source.language)
        test = read_examples(source, "test", reader, predictor.labels, seed=setup.seed, report=setup.report)
        logits_NV = logits_of(
            predictor.model, test, batch_size=setup.batch_size, split="test", tell=setup.tell
        )
        figures = named("test", scores(logits_NV, test.gold_NV, predictor.decision))
        if with_baselines:
            train = read_examples(
                source, "train", reader, predictor.labels, seed=setup.seed, report=setup.report
            )
            figures |= baseline_figures(train, test, multi_label=source.multi_label)
        return {**figures, "test/texts": len(test)}

    def predictor(self, saved: SavedModel, setup: Setup, *, name: str) -> TextPredictor:
        """The predictor of the model in the directory `name`.

        Raises:
            InputError: its config lacks something, or its weights and config disagree.
        """
        config = saved.config
        read_record(_SavedConfig, config, name=f"{name}: {CONFIG_FILE}", is_open=True)
        build = partial(self.build_model, config, num_labels=len(config["labels"]))
        return TextPredictor(
            model=restore_model(saved, build, device=setup.device, name=name),
            reader=self.make_reader(config, **config["texts"]),
            labels=config["labels"],
            decision=Decision(config["multi_label"], self.threshold),
            table=read_record(TextTable, config.get("table", {}), name=f"{name}: config.json: table"),
        )

    def table(self, figures: Mapping[str, float]) -> tuple[list[str], list[list[Any]]]:
        """A table of the test scores and those of the baselines."""
        return score_table(figures)

    def make_reader(self, nodes: Mapping[str, Any], *, prose: bool, language: str) -> TextReader:
        """The reader that splits texts into windows."""
        return TextReader(
            tokenizer=REGISTRY.build("tokenizer", nodes["tokenizer"]),
            prose=prose,
            language=language,
            window_words=self.window_words,
            max_words=self.max_words,
        )

    def build_model(
        self, nodes: Mapping[str, Any], parts: Mapping[str, TokenEncoder], *, num_labels: int
    ) -> Classifier:
        """A classifier with a new head; InputError if the values disagree."""
        representation = Representation(
            parts=parts, mix=nodes["mix"], injection=self.injection, word_dropout=self.word_dropout
        )
        head = REGISTRY.build(
            "head",
            nodes["head"],
            input_size=representation.input_size,
            injected_size=representation.injected_size,
        )
        if not isinstance(head, TextHead):
            raise InputError(f"head.type: {nodes['head']['type']} is not a head for text classification")
        if head.max_words is not None and head.max_words < self.window_words:
            raise InputError(
                f"task.window_words: expected at most {head.max_words}, the limit of the head"
                f" {nodes['head']['type']}, got {self.window_words}"
            )
        return Classifier(
            representation=representation, head=head, num_labels=num_labels, dropout=self.dropout
        )


def build_source(setup: Setup) -> LabelledSource:
    """The source of the texts; InputError if it has no labels."""
    source = REGISTRY.build("data", setup.nodes["data"])
    if not isinstance(source, LabelledSource):
        raise InputError(f"data.type: {setup.nodes['data']['type']} has no labelled texts; data=bbc has some")
    return source


def _all_windows(source: LabelledSource, split: Split, reader: TextReader) -> list[Window]:
    """The windows of a whole split, also of one that is cut."""
    return [window for example in source.examples(split) for window in reader.read(example.text).windows]
