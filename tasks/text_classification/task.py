"""Classification of texts: sentiment, topics, types of questions, with one label or several.

Shape legend: N texts, V labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from elmo.errors import InputError
from elmo.io.model_directory import SavedModel, load_weights
from elmo.registry import REGISTRY
from tasks.encoders.token_encoder import TokenEncoder
from tasks.heads.text_head import TextHead
from tasks.sources.labelled.source import LabelledSource
from tasks.sources.shared.split import SPLITS
from tasks.supervised.encoder_parts import EncoderParts, check_components, make_cache
from tasks.supervised.representation import Representation
from tasks.supervised.standardization import standardize
from tasks.task import Setup
from tasks.text_classification.baselines import baseline_figures
from tasks.text_classification.examples import read_examples, read_labels
from tasks.text_classification.model import Classifier, TextClassificationTraining, label_weights, logits_of
from tasks.text_classification.predictor import TextPredictor
from tasks.text_classification.reports import TextClassificationReports, named, score_table
from tasks.text_classification.scores import Decision, scores
from tasks.text_classification.windows import TextReader


@REGISTRY.register("task", "text_classification")
class TextClassificationTask:
    """Tell the label of a text, or its labels.

    Args:
        window_words: long texts are read in windows of whole sentences up to so many words, and attention
            joins what the head makes of each. A longer sentence is cut into pieces; nothing is lost.
        max_words: of a text; the rest is dropped and counted. None: nothing is dropped.
        injection: where contextual vectors join the head: input, output (of its recurrent layer) or both.
        word_dropout: on the vectors of words that have one layer; those of several layers have their mix's.
        dropout: on a text's vector.
        label_smoothing: share of the gold label's probability that all labels divide among them.
        class_weights: `balanced` weighs rare labels more, so that all labels weigh the same together; with
            several labels, so that those who have a label weigh as much as those who do not.
        threshold: of the probability of a label, for texts that may have several.
    """

    def __init__(
        self,
        *,
        window_words: int,
        max_words: int | None,
        injection: Literal["input", "output", "both"],
        word_dropout: float,
        dropout: float,
        label_smoothing: float,
        class_weights: Literal["none", "balanced"],
        threshold: float,
    ) -> None:
        for name, number in (("window_words", window_words), ("max_words", max_words)):
            if number is not None and number < 1:
                raise InputError(f"task.{name}: expected at least 1, got {number}")
        if not 0 <= label_smoothing < 1:
            raise InputError(
                f"task.label_smoothing: expected at least 0 and less than 1, got {label_smoothing}"
            )
        if not 0 < threshold < 1:
            raise InputError(f"task.threshold: expected more than 0 and less than 1, got {threshold}")
        self.window_words, self.max_words = window_words, max_words
        self.injection, self.word_dropout, self.dropout = injection, word_dropout, dropout
        self.label_smoothing, self.class_weights = label_smoothing, class_weights
        self.threshold = threshold

    def check(self, setup: Setup) -> None:
        """Find faults of the components' values without reading data."""
        build_source(setup).check_examples()
        parts = check_components(setup)
        if all(part.size for part in parts.values()):
            self.build_model(setup.nodes, parts, num_labels=2)

    def start(self, setup: Setup) -> TextClassificationTraining:
        """Read and tokenize the data, and build a model with a fresh head."""
        source = build_source(setup)
        labels = read_labels(source)
        reader = self.make_reader(setup.nodes, prose=source.prose, language=source.language)
        examples = {
            split: read_examples(source, split, reader, labels, report=setup.report) for split in SPLITS
        }
        encoder = EncoderParts.start(setup, examples["train"].counts())
        model = self.build_model(setup.nodes, encoder.parts, num_labels=len(labels)).to(setup.device)
        notices: list[str] = []
        cache = make_cache(setup, notices.append)
        for split, texts in examples.items():
            examples[split] = replace(texts, stores=encoder.open_stores(cache, texts.windows))
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
            saved: what the model directory `name` holds.
            setup: `data` from where one likes, all other nodes the model's own.
            with_baselines: whether the data's training texts are there, to make the baselines from.
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
        test = read_examples(source, "test", reader, predictor.labels, report=setup.report)
        logits_NV = logits_of(predictor.model, test, batch_size=setup.batch_size)
        figures = named("test", scores(logits_NV, test.gold_NV, predictor.decision))
        if with_baselines:
            train = read_examples(source, "train", reader, predictor.labels, report=setup.report)
            figures |= baseline_figures(train, test, multi_label=source.multi_label)
        return {**figures, "test/texts": len(test)}

    def predictor(self, saved: SavedModel, setup: Setup, *, name: str) -> TextPredictor:
        """Answers with the model of the directory `name`.

        Raises:
            InputError: a model of another task, or weights and config disagree.
        """
        config = saved.config
        if config["task"]["type"] != "text_classification":
            raise InputError(
                f"{name}: a model of task {config['task']['type']}, expected text_classification"
            )
        encoder = EncoderParts.restore(saved)
        model = self.build_model(config, encoder.parts, num_labels=len(config["labels"]))
        load_weights(model, saved.weights, name=name)
        return TextPredictor(
            model=model.to(setup.device).eval(),
            reader=self.make_reader(config, **config["texts"]),
            labels=config["labels"],
            decision=Decision(config["multi_label"], self.threshold),
        )

    def table(self, figures: Mapping[str, float]) -> tuple[list[str], list[list[Any]]]:
        """Test scores beside the baselines'."""
        return score_table(figures)

    def make_reader(self, nodes: Mapping[str, Any], *, prose: bool, language: str) -> TextReader:
        """What makes windows of texts."""
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
        """A classifier with a fresh head. Raises InputError for values that disagree."""
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
            raise InputError(f"head.type: {nodes['head']['type']} is no head for the classification of texts")
        if head.max_words is not None and head.max_words < self.window_words:
            raise InputError(
                f"task.window_words: expected at most {head.max_words}, all that the head"
                f" {nodes['head']['type']} reads, got {self.window_words}"
            )
        return Classifier(
            representation=representation, head=head, num_labels=num_labels, dropout=self.dropout
        )


def build_source(setup: Setup) -> LabelledSource:
    """The source of the texts. Raises InputError for one without labels."""
    source = REGISTRY.build("data", setup.nodes["data"])
    if not isinstance(source, LabelledSource):
        raise InputError(f"data.type: {setup.nodes['data']['type']} has no labelled texts; data=bbc has some")
    return source
