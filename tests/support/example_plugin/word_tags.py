"""A task: a tag for every word, such as its part of speech."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from elmo.errors import InputError
from elmo.io.model_directory import SavedModel, load_weights
from elmo.registry import REGISTRY
from elmo.text.tokenizers.tokenizer import Tokenizer
from example_plugin.tagged_lines import TaggedLines
from example_plugin.tagger import TagExamples, Tagger, TaggingTraining, TagReports, accuracy, score_table
from tasks.encoders.token_encoder import TokenEncoder
from tasks.sources.shared.split import SPLITS
from tasks.supervised.encoder_parts import EncoderParts, unlearned_parts
from tasks.supervised.representation import Representation
from tasks.supervised.standardization import standardize
from tasks.task import Setup


@REGISTRY.register("task", "word_tags")
class TaggingTask:
    """Predict the tag of each word of a sentence.

    Args:
        word_dropout: on vectors of encoders with one layer; for several layers, `mix` has a dropout.
    """

    def __init__(self, *, word_dropout: float) -> None:
        self.word_dropout = word_dropout

    def check(self, setup: Setup) -> None:
        build_source(setup).check_examples()
        parts = unlearned_parts(setup)
        if all(part.size for part in parts.values()):
            self.build_model(setup.nodes, parts, num_tags=2)

    def score_names(self, setup: Setup) -> list[str]:
        return ["dev/accuracy"]

    def start(self, setup: Setup) -> TaggingTraining:
        source = build_source(setup)
        sentences = {split: list(source.examples(split)) for split in SPLITS}
        tags = sorted({tag for sentence in sentences["train"] for tag in sentence.tags})
        examples = {split: TagExamples(sentences[split], tags) for split in SPLITS}
        encoder = EncoderParts.start(setup, examples["train"].counts())
        model = self.build_model(setup.nodes, encoder.parts, num_tags=len(tags)).to(setup.device)
        standardize(model.representation, [[s.words] for s in sentences["train"]], {})
        reports = TagReports(
            setup=setup, source=source, encoder=encoder, model=model, examples=examples, tags=tags
        )
        return TaggingTraining(setup=setup, encoder=encoder, examples=examples, reports=reports)

    def evaluate(
        self, saved: SavedModel, setup: Setup, *, with_baselines: bool, name: str
    ) -> dict[str, float]:
        predictor, source = self.predictor(saved, setup, name=name), build_source(setup)
        test = TagExamples(list(source.examples("test")), predictor.tags)
        return {"test/accuracy": accuracy(predictor.model, test, batch_size=setup.batch_size)}

    def predictor(self, saved: SavedModel, setup: Setup, *, name: str) -> TagPredictor:
        encoder, tags = EncoderParts.restore(saved), saved.config["tags"]
        model = self.build_model(saved.config, encoder.parts, num_tags=len(tags))
        load_weights(model, saved.weights, name=name)
        tokenizer = REGISTRY.build("tokenizer", saved.config["tokenizer"])
        return TagPredictor(model=model.to(setup.device).eval(), tokenizer=tokenizer, tags=tags)

    def table(self, figures: Mapping[str, float]) -> tuple[list[str], list[list[Any]]]:
        return score_table(figures)

    def build_model(
        self, nodes: Mapping[str, Any], parts: Mapping[str, TokenEncoder], *, num_tags: int
    ) -> Tagger:
        representation = Representation(
            parts=parts, mix=nodes["mix"], injection="input", word_dropout=self.word_dropout
        )
        return Tagger(representation=representation, num_tags=num_tags)


class TagPredictor:
    """Tags the words of new sentences."""

    def __init__(self, *, model: Tagger, tokenizer: Tokenizer, tags: Sequence[str]) -> None:
        self.model, self.tokenizer, self.tags = model, tokenizer, tags

    def read(self, record: Mapping[str, Any]) -> list[str]:
        """The words of a record's text; InputError if it is missing or has none."""
        words = self.tokenizer.tokenize(str(record.get("text", "")))
        if not words:
            raise InputError("text: missing, or without words")
        return words

    def predict(self, inputs: Sequence[list[str]]) -> list[dict[str, Any]]:
        return [
            {"words": words, "tags": [self.tags[index] for index in self.model.predict([words]).tolist()]}
            for words in inputs
        ]


def build_source(setup: Setup) -> TaggedLines:
    """The source of the sentences; InputError if it has no tags."""
    source = REGISTRY.build("data", setup.nodes["data"])
    if not isinstance(source, TaggedLines):
        raise InputError(
            f"data.type: {setup.nodes['data']['type']} has no tagged sentences; use tagged_lines"
        )
    return source
