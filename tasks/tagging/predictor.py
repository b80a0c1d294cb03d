"""Predictions of a trained tagger: tags and spans of raw text or of given words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from elmo.errors import InputError, shown
from elmo.text.tokenizers.tokenizer import Tokenizer
from tasks.sources.tagged.schemes import Span
from tasks.sources.tagged.source import TaggedSentence
from tasks.supervised.located_text import LocatedText, locate_words
from tasks.tagging.examples import TagExamples
from tasks.tagging.labels import LabelSet
from tasks.tagging.model import Tagger, predict_tags


class GivenWords(NamedTuple):
    """An input record.

    Attributes:
        record_id: or None.
        sentences: of words.
        predicate: the position, among all words, of the word that the tags are about, or None.
        text: the raw text, or None if words were given.
        located: where its words are, or None.
    """

    record_id: Any
    sentences: list[list[str]]
    predicate: int | None
    text: str | None = None
    located: LocatedText | None = None


class TagPredictor:
    """Tags the words of new text.

    Args:
        model: in evaluation mode, on its device.
        labels: that it predicts.
        tokenizer: splits text into words.
        language: ISO 639-1 code, for sentence splitting.
        window_words: largest number of words that are read at once.
        batch_size: number of sentences that are read at once.
    """

    def __init__(
        self,
        *,
        model: Tagger,
        labels: LabelSet,
        tokenizer: Tokenizer,
        language: str,
        window_words: int,
        batch_size: int,
    ) -> None:
        self.model, self.labels = model, labels
        self.tokenizer, self.language = tokenizer, language
        self.window_words, self.batch_size = window_words, batch_size

    def read(self, record: Mapping[Any, Any]) -> GivenWords:
        """Read a record's `words`, which are one sentence, or its `text`, which may have several.

        Its `predicate`, the position of a word, is read if the model was trained with predicates.

        Raises:
            InputError: it has none of them, or they are of another kind.
        """
        if "words" in record:
            given = GivenWords(record.get("id"), [_words(record["words"])], None)
        elif isinstance(record.get("text"), str):
            text = record["text"]
            located = locate_words(text, self.tokenizer, language=self.language)
            sentences = located.sentences(0, len(located.words)) if located.words else []
            given = GivenWords(record.get("id"), sentences, None, text, located)
        elif "text" in record:
            raise InputError(f"text: expected a text, got {shown(record['text'])}")
        else:
            raise InputError("words or text: missing")
        if self.model.indicator is None:
            return given
        return given._replace(predicate=_predicate(record, sum(map(len, given.sentences))))

    def predict(self, inputs: Sequence[GivenWords]) -> list[dict[str, Any]]:
        """For each record its `words`, their `tags`, and, if tags are spans, the `spans`.

        A span has its `label`, the positions of its first word and of the word after its last one
        (`first_word`, `end_word`), and its `text`. Of raw text, words have `offsets` and a span has `start`
        and `end`, in characters.
        """
        sentences = [sentence for given in inputs for sentence in _tagged(given)]
        examples = TagExamples.of(
            sentences, window_words=self.window_words, has_predicates=self.model.indicator is not None
        )
        found = iter(predict_tags(self.model, examples, self.labels, batch_size=self.batch_size))
        return [
            self._answer(given, [next(found) if sentence else [] for sentence in given.sentences])
            for given in inputs
        ]

    def _answer(self, given: GivenWords, tags: Sequence[Sequence[str]]) -> dict[str, Any]:
        answer: dict[str, Any] = {} if given.record_id is None else {"id": given.record_id}
        answer["words"] = [word for sentence in given.sentences for word in sentence]
        answer["tags"] = [tag for sentence in tags for tag in sentence]
        if given.located is not None:
            places = zip(given.located.starts.tolist(), given.located.ends.tolist(), strict=True)
            answer["offsets"] = [list(place) for place in places]
        if self.labels.has_spans:
            answer["spans"] = [
                _span(given, answer, span, first)
                for first, sentence in zip(_firsts(tags), tags, strict=True)
                for span in self.labels.spans(sentence)
            ]
        return answer


def _span(given: GivenWords, answer: Mapping[str, Any], span: Span, first: int) -> dict[str, Any]:
    """A span of the sentence whose first word is the `first` of all words."""
    start, end = first + span.start, first + span.end
    found: dict[str, Any] = {"label": span.label, "first_word": start, "end_word": end}
    if given.text is None:
        return {**found, "text": " ".join(answer["words"][start:end])}
    begin, stop = answer["offsets"][start][0], answer["offsets"][end - 1][1]
    return {**found, "start": begin, "end": stop, "text": given.text[begin:stop]}


def _firsts(sentences: Sequence[Sequence[str]]) -> list[int]:
    """The position of each sentence's first word among all words."""
    firsts, total = [], 0
    for sentence in sentences:
        firsts.append(total)
        total += len(sentence)
    return firsts


def _tagged(given: GivenWords) -> list[TaggedSentence]:
    """The sentences that have words, without tags; the predicate is in one of them."""
    return [
        TaggedSentence(
            name="",
            words=tuple(words),
            tags=(),
            predicate=None if given.predicate is None else given.predicate - first,
        )
        for first, words in zip(_firsts(given.sentences), given.sentences, strict=True)
        if words
    ]


def _words(given: Any) -> list[str]:
    if not isinstance(given, list) or not all(isinstance(word, str) and word.strip() for word in given):
        raise InputError(f"words: expected a list of words, none of them blank, got {shown(given)}")
    return given


def _predicate(record: Mapping[Any, Any], num_words: int) -> int:
    given = record.get("predicate")
    if not isinstance(given, int) or isinstance(given, bool) or not 0 <= given < num_words:
        what = "missing" if given is None else f"got {shown(given)}"
        raise InputError(
            f"predicate: {what}; expected the position of a word, from 0 to {num_words - 1}, whose roles the"
            " tags are"
        )
    return given
