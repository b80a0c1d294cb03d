"""The interface of a source of sense-tagged sentences, such as SemCor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple


class SenseTag(NamedTuple):
    """The sense of a word.

    Attributes:
        position: of the word in its sentence, from 0.
        lemma: whose senses these are.
        tag: the part of speech; empty if the data has none.
        sense: the name of the sense.
    """

    position: int
    lemma: str
    tag: str
    sense: str


class SenseSentence(NamedTuple):
    """A sentence and the senses of its words, where they are known.

    Attributes:
        name: its position `file:line`.
        document: the name of its document.
        words: at least one.
        senses: in the order of the words; perhaps none.
    """

    name: str
    document: str
    words: tuple[str, ...]
    senses: tuple[SenseTag, ...]


class SenseSource(ABC):
    """Sense-tagged sentences without splits: who needs parts of them takes whole documents.

    Attributes:
        language: ISO 639-1 code.
    """

    language: str

    @abstractmethod
    def check(self) -> None:
        """Quick check, without reading the data; InputError if it is missing or cannot be read."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Everything that determines the sentences, for `tasks.sources.shared.fingerprint`."""

    @abstractmethod
    def sentences(self) -> Iterator[SenseSentence]:
        """All sentences in order; InputError at a fault of the data."""
