"""Classification of texts: sentiment, topics, types of questions, with one label or several.

Shape legend: N texts, V labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from elmo.errors import InputError
from elmo.io.model_directory import SavedModel, load_weights
from elmo.registry import REGISTRY
from tasks.encoders.token_encoder import TokenEncoder
from tasks.heads.text_head import TextHead
from tasks.sources.labelled.source import LabelledSource
from tasks.sources.shared.split import SPLITS, Split
from tasks.supervised.batches import ExampleBatches
from tasks.supervised.representation import Representation
from tasks.supervised.training import EncoderParts, SupervisedTraining, check_components, make_cache
from tasks.task import Setup
from tasks.text_classification.examples import TextBatch, TextExamples, read_examples, read_labels
from tasks.text_classification.model import Classifier
from tasks.text_classification.predictor import TextPredictor, logits_of
from tasks.text_classification.reports import Results, Table, tables, write_reports
from tasks.text_classification.scores import (
    Decision,
    accuracy,
    label_weights,
    most_frequent_labels,
    naive_bayes_labels,
    scores,
    training_loss,
)
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
        parts = check_components(setup, build_source(setup))
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
        return TextClassificationTraining(
            setup=setup, task=self, source=source, labels=labels, examples=examples, encoder=encoder
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
        figures = _named("test", scores(logits_NV, test.gold_NV, predictor.decision))
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


class TextClassificationTraining(SupervisedTraining):
    """A classifier under way: what `tasks.task.Training` describes."""

    model: Classifier
    source: LabelledSource

    def __init__(
        self,
        *,
        setup: Setup,
        task: TextClassificationTask,
        source: LabelledSource,
        labels: list[str],
        examples: Mapping[Split, TextExamples],
        encoder: EncoderParts,
    ) -> None:
        self.setup, self.task, self.source = setup, task, source
        self.labels, self.encoder = labels, encoder
        self.decision = Decision(source.multi_label, task.threshold)
        self.model = task.build_model(setup.nodes, encoder.parts, num_labels=len(labels)).to(setup.device)
        self.notices: list[str] = []
        cache = make_cache(setup, self.notices.append)
        self.examples = {
            split: replace(texts, stores=encoder.open_stores(cache, texts.windows))
            for split, texts in examples.items()
        }
        weights_V = label_weights(examples["train"].gold_NV, multi_label=source.multi_label)
        self.weights_V = weights_V.to(setup.device) if task.class_weights == "balanced" else None
        self.units_per_epoch = len(examples["train"])
        self.units_per_batch = min(setup.batch_size, self.units_per_epoch)
        self._batches = self.batches()
        self._test: Results | None = None

    def batches(self) -> ExampleBatches[TextBatch]:
        """The training texts, shuffled anew every epoch, texts of similar length together, without end."""
        train = self.examples["train"]
        self._batches = ExampleBatches(
            lengths=train.num_words.tolist(),
            batch_size=self.setup.batch_size,
            seed=self.setup.seed,
            make=train.batch,
        )
        return self._batches

    def loss(self, batch: TextBatch) -> Tensor:
        """The mean cross entropy in nats, weighted and smoothed as configured, with the mixes' penalty."""
        self.encoder.fine_tuning.set_epoch(self._batches.epochs_read)
        device = self.setup.device
        logits_NV = self.model(batch.windows.to(device), batch.text_of_window_B.to(device), batch.num_units)
        label_loss = training_loss(
            logits_NV.float(),
            batch.gold_NV.to(device),
            multi_label=self.decision.multi_label,
            weights_V=self.weights_V,
            label_smoothing=self.task.label_smoothing,
        )
        return label_loss + self.model.representation.penalty()

    def describe(self, batch: TextBatch) -> str:
        """The names of a batch's first texts."""
        return f"the batch of the texts {', '.join(batch.names[:3])}{', ...' if len(batch.names) > 3 else ''}"

    def evaluate(self) -> dict[str, float]:
        """The scores of the dev split, of the model as it is."""
        dev = self._results("dev")
        return _named("dev", scores(dev.logits, dev.gold, self.decision))

    def conclude(self) -> dict[str, float]:
        """The scores of the test split, and those of the most frequent label and of naive Bayes."""
        self._test = self._results("test")
        figures = _named("test", scores(self._test.logits, self._test.gold, self.decision))
        baselines = baseline_figures(
            self.examples["train"], self.examples["test"], multi_label=self.decision.multi_label
        )
        return {**figures, **baselines, "test/texts": len(self.examples["test"])}

    def write_reports(self, path: Path) -> None:
        """Write the test split's predictions, a report of each label, and the confusion matrix's picture."""
        write_reports(path, self._concluded(), "test")

    def tables(self) -> dict[str, Table]:
        """The report of each label and the confusion matrix, of the test split."""
        return tables(self._concluded(), "test")

    def facts(self) -> dict[str, float | str]:
        """Counts of texts and words, and what a user should know of them."""
        facts: dict[str, float | str] = {"labels": len(self.labels), **self.encoder.facts(self.setup)}
        known = self.examples["train"].counts()
        for split, examples in self.examples.items():
            facts |= {f"{split} {name}": value for name, value in examples.facts(known).items()}
            unused = [self.labels[i] for i in (~examples.gold_NV.any(dim=0)).nonzero().flatten().tolist()]
            if unused:
                facts[f"{split} labels without a text"] = ", ".join(unused)
        if self.notices:
            facts["features"] = "; ".join(self.notices)
        return facts

    def table(self, figures: Mapping[str, float]) -> tuple[list[str], list[list[Any]]]:
        """Dev and test scores beside the baselines'."""
        return score_table(figures)

    def activation_bytes(self, units_per_batch: int) -> int:
        """An estimate for a batch of texts of mean length: vectors in and out of a head, with gradients."""
        representation, head = self.model.representation, self.model.head
        words = units_per_batch * float(self.examples["train"].num_words.mean())
        sizes = 6 * (representation.input_size + representation.injected_size) + 12 * head.output_size
        return int(4 * words * sizes)

    def _saved_facts(self) -> dict[str, Any]:
        return {
            "labels": self.labels,
            "multi_label": self.decision.multi_label,
            "texts": {"prose": self.source.prose, "language": self.source.language},
        }

    def _results(self, split: Split) -> Results:
        examples = self.examples[split]
        logits_NV = logits_of(self.model, examples, batch_size=self.setup.batch_size)
        return Results(examples.names, self.labels, logits_NV, examples.gold_NV, self.decision)

    def _concluded(self) -> Results:
        if self._test is None:
            self._test = self._results("test")
        return self._test


def build_source(setup: Setup) -> LabelledSource:
    """The source of the texts. Raises InputError for one without labels."""
    source = REGISTRY.build("data", setup.nodes["data"])
    if not isinstance(source, LabelledSource):
        raise InputError(f"data.type: {setup.nodes['data']['type']} has no labelled texts; data=bbc has some")
    return source


def baseline_figures(train: TextExamples, test: TextExamples, *, multi_label: bool) -> dict[str, float]:
    """Test accuracies of the training texts' most frequent label, and of naive Bayes on counts of words."""
    most_frequent_NV = most_frequent_labels(train.gold_NV).expand_as(test.gold_NV)
    naive_bayes_NV = naive_bayes_labels(train.words(), train.gold_NV, test.words(), multi_label=multi_label)
    return {
        "test/majority_accuracy": accuracy(most_frequent_NV, test.gold_NV),
        "test/naive_bayes_accuracy": accuracy(naive_bayes_NV, test.gold_NV),
    }


def score_table(figures: Mapping[str, float]) -> tuple[list[str], list[list[Any]]]:
    """The columns and rows that show scores, in percent."""
    columns = {"accuracy": "accuracy", "macro_f1": "macro F1", "micro_f1": "micro F1"}
    columns = {key: name for key, name in columns.items() if f"test/{key}" in figures}
    columns["calibration_error"] = "calibration error"
    rows: list[list[Any]] = [
        [split, *(100 * figures[f"{split}/{key}"] for key in columns)]
        for split in SPLITS
        if f"{split}/accuracy" in figures
    ]
    names = {"naive_bayes": "test, naive Bayes", "majority": "test, most frequent label"}
    rows += [
        [name, 100 * figures[f"test/{key}_accuracy"], *[None] * (len(columns) - 1)]
        for key, name in names.items()
        if f"test/{key}_accuracy" in figures
    ]
    return ["percent", *columns.values()], rows


def _named(split: Split, figures: Mapping[str, float]) -> dict[str, float]:
    return {f"{split}/{name}": value for name, value in figures.items()}
