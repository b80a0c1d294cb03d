"""Extractive question answering, with or without unanswerable questions (SQuAD 2.0 or 1.1)."""

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
from tasks.heads.span_head import SpanHead
from tasks.question_answering.baselines import score_baselines
from tasks.question_answering.examples import QuestionExamples, QuestionReader
from tasks.question_answering.model import Answerer, Decoding, QuestionAnsweringTraining, find_answers
from tasks.question_answering.predictor import QuestionPredictor
from tasks.question_answering.reports import QuestionAnsweringReports, score_table, score_test
from tasks.question_answering.scores import SCORES, score_names
from tasks.question_answering.word_matches import NUM_FEATURES
from tasks.sources.questions.source import QuestionSource
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


@dataclass(frozen=True, kw_only=True)
class _SavedConfig(SavedParts):
    """What the config.json of a question answering model has besides its task."""

    language: str


@REGISTRY.register("task", "question_answering")
class QuestionAnsweringTask:
    """Find the answer to a question in a passage, or that it has none.

    Args:
        window_words: largest number of words of a passage that are read at once.
        window_stride: number of words between the starts of consecutive windows of a longer passage; the
            overlap should be at least as long as an answer.
        max_answer_words: largest number of words in a predicted answer.
        num_best: number of answers to keep for each question.
        injection: where contextual vectors enter the head: input, output (of its recurrent layer) or both.
        word_dropout: on vectors of encoders with one layer; for several layers, `mix` has a dropout.
        word_features: add features of whether a word also occurs in the other text (see `word_matches`).
    """

    def __init__(
        self,
        *,
        window_words: Size,
        window_stride: Size,
        max_answer_words: Size,
        num_best: Size,
        injection: Literal["input", "output", "both"],
        word_dropout: Dropout,
        word_features: bool,
    ) -> None:
        if window_stride > window_words:
            raise InputError(
                f"task.window_stride: expected at most {window_words} (window_words), got {window_stride}"
            )
        self.window_words, self.window_stride = window_words, window_stride
        self.decoding = Decoding(max_answer_words, num_best)
        self.injection, self.word_dropout = injection, word_dropout
        self.word_features = word_features

    def check(self, setup: Setup) -> None:
        """Check the components' values without reading data; InputError for the faults."""
        build_source(setup).check_examples()
        parts = check_components(setup)
        if all(part.size for part in parts.values()):
            self.build_model(setup.nodes, parts)

    def score_names(self, setup: Setup) -> list[str]:
        """Loss, exact match and F1 on dev; also of both kinds of questions, if some have no answer."""
        return [f"dev/{name}" for name in ("loss", *SCORES)]

    def start(self, setup: Setup) -> QuestionAnsweringTraining:
        """Read and tokenize the data, and build a model with a new head."""
        source = build_source(setup)
        reader = self.make_reader(setup.nodes, language=source.language)
        examples = {split: read_split(source, split, reader, seed=setup.seed) for split in SPLITS}
        refuse_nothing_to_learn(examples["train"])
        refuse_absent_metric(setup.metric, examples["dev"])
        encoder = EncoderParts.start(setup, examples["train"].counts())
        model = self.build_model(setup.nodes, encoder.parts).to(setup.device)
        notices: list[str] = []
        cache = make_cache(setup, notices.append)
        for split, questions in examples.items():
            whole = partial(_all_texts, source, split, reader) if source.is_cut(split) else None
            stores = encoder.open_stores(cache, questions.texts(), whole=whole)
            examples[split] = replace(questions, stores=stores)
        train = examples["train"]
        standardize(model.representation, train.texts(), train.stores)
        return QuestionAnsweringTraining(
            setup=setup,
            model=model,
            encoder=encoder,
            examples=examples,
            decoding=self.decoding,
            reports=QuestionAnsweringReports(
                setup=setup,
                source=source,
                encoder=encoder,
                model=model,
                examples=examples,
                decoding=self.decoding,
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
            with_baselines: also score the baselines.
        """
        predictor = self.predictor(saved, setup, name=name)
        source = build_source(setup)
        source.check_examples(["test"])
        reader = self.make_reader(setup.nodes, language=source.language)
        test = read_split(source, "test", reader, seed=setup.seed)
        found = find_answers(
            predictor.model,
            test,
            batch_size=setup.batch_size,
            decoding=self.decoding,
            split="test",
            tell=setup.tell,
        )
        figures = score_test(test, found, threshold=float(predictor.model.no_answer_threshold))
        return figures | (score_baselines(test) if with_baselines else {})

    def predictor(self, saved: SavedModel, setup: Setup, *, name: str) -> QuestionPredictor:
        """The predictor of the model in the directory `name`.

        Raises:
            InputError: its config lacks something, or its weights and config disagree.
        """
        config = saved.config
        read_record(_SavedConfig, config, name=f"{name}: {CONFIG_FILE}", is_open=True)
        build = partial(self.build_model, config)
        return QuestionPredictor(
            model=restore_model(saved, build, device=setup.device, name=name),
            reader=self.make_reader(config, language=config["language"]),
            decoding=self.decoding,
        )

    def table(self, figures: Mapping[str, float]) -> tuple[list[str], list[list[Any]]]:
        """Columns and rows of a table of test scores, with those of the baselines."""
        return score_table(figures)

    def make_reader(self, nodes: Mapping[str, Any], *, language: str) -> QuestionReader:
        """The reader that tokenizes passages and questions."""
        return QuestionReader(
            tokenizer=REGISTRY.build("tokenizer", nodes["tokenizer"]),
            language=language,
            window_words=self.window_words,
            window_stride=self.window_stride,
        )

    def build_model(self, nodes: Mapping[str, Any], parts: Mapping[str, TokenEncoder]) -> Answerer:
        """A model with a new head; InputError if the values disagree."""
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
            raise InputError(f"head.type: {nodes['head']['type']} is not a head for question answering")
        return Answerer(representation=representation, head=head, word_features=self.word_features)


def build_source(setup: Setup) -> QuestionSource:
    """The source of the questions; InputError if it has none."""
    source = REGISTRY.build("data", setup.nodes["data"])
    if not isinstance(source, QuestionSource):
        raise InputError(f"data.type: {setup.nodes['data']['type']} has no questions; data=squad has some")
    return source


def read_split(
    source: QuestionSource, split: Split, reader: QuestionReader, *, seed: int
) -> QuestionExamples:
    """Read the questions of a split; InputError if there are none, or none that can be asked.

    Args:
        source: of the questions.
        split: of the source.
        reader: tokenizes passages and questions.
        seed: chooses the part of a training split that is cut.
    """
    examples = reader.read(source.read_passages(split, seed=seed))
    if not examples.questions:
        raise InputError(f"data: the {split} split has no questions")
    if not examples.pairs:
        raise InputError(f"data: no question of the {split} split has words and a passage with words")
    return examples


def refuse_nothing_to_learn(examples: QuestionExamples) -> None:
    """InputError if no question of the training data has a known answer."""
    if not examples.learnable().pairs:
        raise InputError(
            f"data: the train split has no question that can be learned from: {len(examples.unusable):,}"
            f" answers are unusable; the first: {examples.unusable[0]}"
        )


def refuse_absent_metric(metric: str | None, dev: QuestionExamples) -> None:
    """InputError if the metric is a score of a kind of questions that the dev split has none of."""
    names = [f"dev/{name}" for name in ("loss", *score_names(dev.golds()))]
    if metric is not None and metric not in names:
        raise InputError(
            f"trainer.metric: no score {metric!r} of these dev questions; one of {', '.join(names)}"
        )


def _all_texts(source: QuestionSource, split: Split, reader: QuestionReader) -> list[Window]:
    """The passages and questions of a whole split, also of one that is cut."""
    return reader.read(source.passages(split)).texts()
