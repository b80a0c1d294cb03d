"""Question answering: the words of a passage that answer a question, or that it does not (SQuAD)."""

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
from tasks.heads.span_head import SpanHead
from tasks.question_answering.baselines import most_similar_sentences
from tasks.question_answering.decoding import span_losses
from tasks.question_answering.examples import QuestionBatch, QuestionExamples, QuestionReader
from tasks.question_answering.model import Answerer
from tasks.question_answering.predictor import Decoding, Found, QuestionPredictor, find_answers
from tasks.question_answering.reports import Table, predictions_of, write_predictions, write_unusable
from tasks.question_answering.scores import NEVER, best_threshold, has_unanswerable, score_answers
from tasks.question_answering.word_matches import NUM_FEATURES
from tasks.sources.questions.source import QuestionSource
from tasks.sources.shared.split import SPLITS, Split
from tasks.supervised.batches import ExampleBatches
from tasks.supervised.representation import Representation
from tasks.supervised.training import EncoderParts, SupervisedTraining, check_components, make_cache
from tasks.task import Setup


@REGISTRY.register("task", "question_answering")
class QuestionAnsweringTask:
    """Find the answer to a question in a passage, or that there is none.

    Args:
        window_words: the most words of a passage that are read at once.
        window_stride: of a longer passage, words from the beginning of one window to that of the next; the
            overlap should be as long as any answer.
        max_answer_words: the most words of an answer that is given.
        num_best: answers that are kept of each question.
        injection: where contextual vectors join the head: input, output (of its recurrent layer) or both.
        word_dropout: on the vectors of words that have one layer; those of several layers have their mix's.
        word_features: tell the head of each word whether the other text has it, too (see `word_matches`).
    """

    def __init__(
        self,
        *,
        window_words: int,
        window_stride: int,
        max_answer_words: int,
        num_best: int,
        injection: Literal["input", "output", "both"],
        word_dropout: float,
        word_features: bool,
    ) -> None:
        counts = {"window_words": window_words, "max_answer_words": max_answer_words, "num_best": num_best}
        for name, count in counts.items():
            if count < 1:
                raise InputError(f"task.{name}: expected at least 1, got {count}")
        if not 1 <= window_stride <= window_words:
            raise InputError(
                f"task.window_stride: expected 1 to {window_words} (window_words), got {window_stride}"
            )
        self.window_words, self.window_stride = window_words, window_stride
        self.decoding = Decoding(max_answer_words, num_best)
        self.injection, self.word_dropout = injection, word_dropout
        self.word_features = word_features

    def check(self, setup: Setup) -> None:
        """Find faults of the components' values without reading data."""
        parts = check_components(setup, build_source(setup))
        if all(part.size for part in parts.values()):
            self.build_model(setup.nodes, parts)

    def start(self, setup: Setup) -> QuestionAnsweringTraining:
        """Read and tokenize the data, and build a model with a fresh head."""
        source = build_source(setup)
        reader = self.make_reader(setup.nodes, language=source.language)
        examples = {split: read_split(source, split, reader) for split in SPLITS}
        encoder = EncoderParts.start(setup, examples["train"].counts())
        return QuestionAnsweringTraining(
            setup=setup, task=self, source=source, examples=examples, encoder=encoder
        )

    def evaluate(
        self, saved: SavedModel, setup: Setup, *, with_baselines: bool, name: str
    ) -> dict[str, float]:
        """The scores of a trained model on the test split of `setup`'s data.

        Args:
            saved: what the model directory `name` holds.
            setup: `data` from where one likes, all other nodes the model's own.
            with_baselines: whether to score the baselines, too.
        """
        predictor = self.predictor(saved, setup, name=name)
        source = build_source(setup)
        source.check_examples(["test"])
        test = read_split(source, "test", self.make_reader(setup.nodes, language=source.language))
        found = find_answers(predictor.model, test, batch_size=setup.batch_size, decoding=self.decoding)
        figures = score_test(test, found, threshold=float(predictor.model.no_answer_threshold))
        return figures | (score_baselines(test) if with_baselines else {})

    def predictor(self, saved: SavedModel, setup: Setup, *, name: str) -> QuestionPredictor:
        """Answers with the model of the directory `name`.

        Raises:
            InputError: a model of another task, or weights and config disagree.
        """
        config = saved.config
        if config["task"]["type"] != "question_answering":
            raise InputError(f"{name}: a model of task {config['task']['type']}, expected question_answering")
        model = self.build_model(config, EncoderParts.restore(saved).parts)
        load_weights(model, saved.weights, name=name)
        return QuestionPredictor(
            model=model.to(setup.device).eval(),
            reader=self.make_reader(config, language=config["language"]),
            decoding=self.decoding,
        )

    def table(self, figures: Mapping[str, float]) -> tuple[list[str], list[list[Any]]]:
        """Test scores beside the baselines'."""
        return score_table(figures)

    def make_reader(self, nodes: Mapping[str, Any], *, language: str) -> QuestionReader:
        """What makes words of passages and questions."""
        return QuestionReader(
            tokenizer=REGISTRY.build("tokenizer", nodes["tokenizer"]),
            language=language,
            window_words=self.window_words,
            window_stride=self.window_stride,
        )

    def build_model(self, nodes: Mapping[str, Any], parts: Mapping[str, TokenEncoder]) -> Answerer:
        """A model with a fresh head. Raises InputError for values that disagree."""
        representation = Representation(
            parts=parts, mix=nodes["mix"], injection=self.injection, word_dropout=self.word_dropout
        )
        head = REGISTRY.build(
            "head",
            nodes["head"],
            input_size=representation.input_size + (NUM_FEATURES if self.word_features else 0),
            injected_size=representation.injected_size,
        )
        if not isinstance(head, SpanHead):
            raise InputError(f"head.type: {nodes['head']['type']} is no head for question answering")
        return Answerer(representation=representation, head=head, word_features=self.word_features)


class QuestionAnsweringTraining(SupervisedTraining):
    """A model of question answering under way: what `tasks.task.Training` describes.

    A batch has pairs of a question and a window of its passage, which are the examples that are counted.
    """

    model: Answerer
    source: QuestionSource

    def __init__(
        self,
        *,
        setup: Setup,
        task: QuestionAnsweringTask,
        source: QuestionSource,
        examples: Mapping[Split, QuestionExamples],
        encoder: EncoderParts,
    ) -> None:
        self.setup, self.task, self.source, self.encoder = setup, task, source, encoder
        self.model = task.build_model(setup.nodes, encoder.parts).to(setup.device)
        self.notices: list[str] = []
        cache = make_cache(setup, self.notices.append)
        self.examples = {
            split: replace(questions, stores=encoder.open_stores(cache, questions.texts()))
            for split, questions in examples.items()
        }
        self.learnable = self.examples["train"].learnable()
        self.units_per_epoch = len(self.learnable.pairs)
        if not self.units_per_epoch:
            raise InputError("data: the train split has no question that can be learned from")
        self.units_per_batch = min(setup.batch_size, self.units_per_epoch)
        self._batches = self.batches()
        self._test: Found | None = None

    def batches(self) -> ExampleBatches[QuestionBatch]:
        """The training pairs, shuffled anew every epoch, windows of similar length together, without end."""
        self._batches = ExampleBatches(
            lengths=self.learnable.lengths(),
            batch_size=self.setup.batch_size,
            seed=self.setup.seed,
            make=self.learnable.batch,
        )
        return self._batches

    def loss(self, batch: QuestionBatch) -> Tensor:
        """The mean negative log-probability of the right answers in nats, with the penalty of the mixes."""
        self.encoder.fine_tuning.set_epoch(self._batches.epochs_read)
        batch = batch.to(self.setup.device)
        losses_B = span_losses(self.model(batch), batch.first_B, batch.last_B)
        return losses_B.mean() + self.model.representation.penalty()

    def describe(self, batch: QuestionBatch) -> str:
        """The ids of a batch's first questions."""
        return f"the batch of the questions {', '.join(batch.ids[:3])}{', ...' if len(batch.ids) > 3 else ''}"

    def evaluate(self) -> dict[str, float]:
        """The scores of the dev split, of the model as it is.

        Where some of its questions have no answer, the model is given the threshold with the best F1 there.
        """
        dev = self.examples["dev"]
        found = self._find(dev)
        golds, predictions = dev.golds(), predictions_of(dev.by_id(found.answers))
        threshold = NEVER
        if has_unanswerable(golds):
            _, threshold = best_threshold(golds, predictions, metric="f1")
        self.model.no_answer_threshold.fill_(threshold)
        figures = {"loss": found.loss, **score_answers(golds, predictions, threshold=threshold)}
        return {f"dev/{name}": value for name, value in figures.items()}

    def conclude(self) -> dict[str, float]:
        """The scores of the test split, and those of baselines."""
        test, self._test = self.examples["test"], self._find(self.examples["test"])
        return score_test(test, self._test, threshold=self._threshold) | score_baselines(test)

    def write_reports(self, path: Path) -> None:
        """Write the test split's predictions, and the gold answers that were no use."""
        test = self.examples["test"]
        if self._test is None:
            self._test = self._find(test)
        write_predictions(path, "test", test.by_id(self._test.answers), threshold=self._threshold)
        write_unusable(path, {split: examples.unusable for split, examples in self.examples.items()})

    def tables(self) -> dict[str, Table]:
        """None."""
        return {}

    def facts(self) -> dict[str, float | str]:
        """Counts of questions and words, and what a user should know of them."""
        facts: dict[str, float | str] = {}
        known = self.examples["train"].counts()
        for split, examples in self.examples.items():
            facts |= {f"{split} {name}": value for name, value in examples.facts(known).items()}
        if self.notices:
            facts["features"] = "; ".join(self.notices)
        return facts

    def table(self, figures: Mapping[str, float]) -> tuple[list[str], list[list[Any]]]:
        """Dev and test scores beside the baselines'."""
        return score_table(figures)

    def activation_bytes(self, units_per_batch: int) -> int:
        """An estimate for windows of mean length: vectors in and out of a head and words beside words, with
        gradients."""
        representation, lengths = self.model.representation, self.learnable.lengths()
        mean = sum(lengths) / len(lengths)
        sizes = 12 * (representation.input_size + representation.injected_size) + 4 * mean
        return int(4 * units_per_batch * mean * sizes)

    def _saved_facts(self) -> dict[str, Any]:
        return {"language": self.source.language}

    @property
    def _threshold(self) -> float:
        return float(self.model.no_answer_threshold)

    def _find(self, examples: QuestionExamples) -> Found:
        return find_answers(
            self.model, examples, batch_size=self.setup.batch_size, decoding=self.task.decoding
        )


def build_source(setup: Setup) -> QuestionSource:
    """The source of the questions. Raises InputError for one without."""
    source = REGISTRY.build("data", setup.nodes["data"])
    if not isinstance(source, QuestionSource):
        raise InputError(f"data.type: {setup.nodes['data']['type']} has no questions; data=squad has some")
    return source


def read_split(source: QuestionSource, split: Split, reader: QuestionReader) -> QuestionExamples:
    """The questions of a split. Raises InputError where there are none."""
    examples = reader.read(source.passages(split))
    if not examples.questions:
        raise InputError(f"data: the {split} split has no questions")
    return examples


def score_test(test: QuestionExamples, found: Found, *, threshold: float) -> dict[str, float]:
    """The scores of the test split, by metric name.

    Where some of its questions have no answer, the scores with the best thresholds of the test split itself
    are there, too, as the evaluation script of SQuAD 2.0 gives them.
    """
    golds, predictions = test.golds(), predictions_of(test.by_id(found.answers))
    figures = {"loss": found.loss, **score_answers(golds, predictions, threshold=threshold)}
    if has_unanswerable(golds):
        for metric in ("exact_match", "f1"):
            figures[f"best_{metric}"], _ = best_threshold(golds, predictions, metric=metric)
    return {**{f"test/{name}": value for name, value in figures.items()}, "test/questions": len(test)}


def score_baselines(test: QuestionExamples) -> dict[str, float]:
    """The test scores of the sentence most like the question, and of never answering if that may be right."""
    golds, sentences = test.golds(), most_similar_sentences(test)
    figures = {"test/sentence": score_answers(golds, sentences, threshold=NEVER)}
    if has_unanswerable(golds):
        never = {id: prediction._replace(text="") for id, prediction in sentences.items()}
        figures["test/never"] = score_answers(golds, never, threshold=NEVER)
    return {
        f"{name}_{metric}": found[metric]
        for name, found in figures.items()
        for metric in ("exact_match", "f1")
    }


def score_table(figures: Mapping[str, float]) -> tuple[list[str], list[list[Any]]]:
    """The columns and rows that show scores, in percent."""
    names = {
        "dev/": "dev",
        "test/": "test",
        "test/has_answer_": "test, questions with an answer",
        "test/no_answer_": "test, questions without",
        "test/sentence_": "test, the sentence most like the question",
        "test/never_": "test, never an answer",
    }
    rows = [
        [name, figures[f"{prefix}exact_match"], figures[f"{prefix}f1"]]
        for prefix, name in names.items()
        if f"{prefix}f1" in figures
    ]
    return ["percent", "exact match", "F1"], rows
