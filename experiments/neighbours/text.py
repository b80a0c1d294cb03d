"""What is read: a file of sentences, or a data set in which the senses of words are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from elmo.errors import InputError
from elmo.registry import REGISTRY
from elmo.text.tokenizers import Tokenizer
from experiments.io.sentence_reader import SentenceReader
from experiments.neighbours.schema import NeighboursConfig
from experiments.neighbours.tokens import TextSentence
from tasks.sources.senses.source import SenseSentence, SenseSource


class Text(NamedTuple):
    """A text that has not been read.

    Attributes:
        name: for messages.
        facts: all that decides its sentences, as plain values and the paths of its files.
        sentences: reads them.
    """

    name: str
    facts: Any
    sentences: Callable[[], Iterator[TextSentence]]


def text_of(config: NeighboursConfig, tokenizer: Tokenizer) -> Text:
    """The text of a config; InputError if it is not there, or if the data set is of another kind."""
    text = _of_data(config.data) if config.data is not None else _of_file(config, tokenizer)
    return text if not config.lowercase else _lowered(text)


def _of_file(config: NeighboursConfig, tokenizer: Tokenizer) -> Text:
    assert config.text is not None  # the schema has checked it
    path = Path(config.text).expanduser()
    reader = SentenceReader(
        config.text, tokenizer=tokenizer, field=config.field, prose=config.prose, language=config.language
    )
    how = [path.suffixes, config.field, config.prose, config.language, tokenizer.fingerprint()]

    def sentences() -> Iterator[TextSentence]:
        return (TextSentence(line, words) for line, words in reader)

    return Text(config.text, [path, how], sentences)


def _of_data(node: dict[str, Any]) -> Text:
    source = REGISTRY.build("data", node)
    if not isinstance(source, SenseSource):
        raise InputError(
            "data: expected words with their senses, such as data=semcor; give any other text as text=FILE"
        )
    source.check()
    name = str(node.get("files", node["type"]))
    return Text(name, source.describe(), lambda: map(_with_senses, source.sentences()))


def _with_senses(sentence: SenseSentence) -> TextSentence:
    senses: list[str | None] = [None] * len(sentence.words)
    for tag in sentence.senses:
        senses[tag.position] = " ".join(filter(None, (tag.lemma, tag.tag, tag.sense)))
    return TextSentence(int(sentence.name.rpartition(":")[2]), sentence.words, senses)


def _lowered(text: Text) -> Text:
    def sentences() -> Iterator[TextSentence]:
        for line, words, senses in text.sentences():
            yield TextSentence(line, [word.lower() for word in words], senses)

    return Text(text.name, [text.facts, "lower case"], sentences)
