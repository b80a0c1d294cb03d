"""The interface of a source of tagged sentences: parts of speech, entities, semantic roles."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import Any, NamedTuple

from tasks.sources.shared.fraction import take_fraction
from tasks.sources.shared.local_files import BATCH_SIZE
from tasks.sources.shared.split import SPLITS, Split
from tasks.sources.tagged.schemes import DataScheme
from tasks.sources.text.source import LineBatch, Source


class TaggedSentence(NamedTuple):
    """A sentence with a tag for each word.

    Attributes:
        name: unique in its split: `file:line` of the first word (with a predicate: of the predicate), or
            `data set:row`.
        words: at least one.
        tags: one for each word: as they stand if they are no spans, else converted to BIO.
        predicate: the position of the word that the tags are about (semantic roles); None: there is none.
        repaired: the number of tags that broke the scheme and were read as the CoNLL script reads them.
    """

    name: str
    words: tuple[str, ...]
    tags: tuple[str, ...]
    predicate: int | None = None
    repaired: int = 0

    @property
    def text(self) -> str:
        return " ".join(self.words)


class TaggedSource(Source):
    """Tagged sentences in three splits that are the same in every run; as running text, a sentence a line.

    Attributes:
        scheme: how the data writes spans; `none`: tags are no spans, such as parts of speech.
        language: ISO 639-1 code.
        has_predicates: whether the tags of a sentence are about one of its words (semantic roles).
    """

    scheme: DataScheme
    has_predicates: bool = False

    @property
    def has_spans(self) -> bool:
        """Whether tags are spans, given in BIO whatever the data's scheme is."""
        return self.scheme != "none"

    @abstractmethod
    def check_examples(self, splits: Collection[Split] = SPLITS) -> None:
        """Quick check, without reading the data; InputError if a split is missing or cannot be read."""

    @abstractmethod
    def describe_examples(self, split: Split) -> dict[str, Any]:
        """Everything that determines a split's examples, for `tasks.sources.shared.fingerprint`."""

    @abstractmethod
    def examples(self, split: Split) -> Iterator[TaggedSentence]:
        """A split's sentences in order; InputError at a fault of the data."""

    def read_examples(self, split: Split, *, seed: int) -> Iterable[TaggedSentence]:
        """The sentences that a run of this seed reads: of a cut training split a part.

        Raises:
            InputError: a fault of the data, or nothing is left of it.
        """
        if not self.is_cut(split):
            return self.examples(split)
        sentences = list(self.examples(split))
        return take_fraction(
            sentences,
            fraction=self.fraction,
            seed=seed,
            contents=[sentence.text for sentence in sentences],
            strata=no_strata(sentences),
        )

    def check(self, splits: Collection[Split] = SPLITS) -> None:
        self.check_examples(splits)

    def describe(self, split: Split) -> dict[str, Any]:
        return {"words_of": self.describe_examples(split)}

    def lines(self, split: Split) -> Iterator[LineBatch]:
        """The words of each sentence, joined by spaces; one with several predicates comes once."""
        texts = (sentence.text for sentence in self.examples(split))
        if self.has_predicates:
            texts = (text for text, _ in groupby(texts))
        first = 1
        while lines := list(islice(texts, BATCH_SIZE)):
            yield LineBatch(split, first, lines, prose=False)
            first += len(lines)


def no_strata(sentences: Sequence[TaggedSentence]) -> list[str]:
    """One stratum: a sentence has many tags, and belongs to none of them."""
    return [""] * len(sentences)
