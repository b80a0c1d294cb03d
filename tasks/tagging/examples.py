"""The tagged sentences of one split of the data, as windows of words, and their batches.

Shape legend: B windows, T words of the longest one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from elmo.errors import InputError
from tasks.sources.shared.split import Split
from tasks.sources.tagged.source import TaggedSentence, TaggedSource
from tasks.supervised.batches import ExampleBatch
from tasks.supervised.feature_store import FeatureStore
from tasks.supervised.representation import Window, WindowBatch
from tasks.tagging.labels import LabelSet

IGNORED = -100  # the label of padding, as `torch.nn.functional.cross_entropy` has it
_SHOWN = 5  # tags that a fact lists


class Piece(NamedTuple):
    """The words of a sentence from `start` on that are read at once; usually all of them."""

    sentence: int
    start: int
    words: list[str]


class TagInputs(NamedTuple):
    """The words of a batch.

    Attributes:
        windows: B of them, of one sentence each.
        is_predicate_BT: int64, 1 for the word that the tags are about; None: the data has no predicates.
    """

    windows: WindowBatch
    is_predicate_BT: Tensor | None

    def to(self, device: torch.device) -> TagInputs:
        """The same words on a device."""
        is_predicate_BT = None if self.is_predicate_BT is None else self.is_predicate_BT.to(device)
        return TagInputs(self.windows.to(device), is_predicate_BT)


@dataclass(frozen=True)
class TagBatch(ExampleBatch):
    """A batch of windows.

    Attributes:
        inputs: the words.
        gold_BT: the indices of their labels; `IGNORED` in the padding.
        names: the sentences' names.
    """

    inputs: TagInputs
    gold_BT: Tensor
    names: list[str]

    @property
    def num_units(self) -> int:
        return len(self.names) + self.num_others


@dataclass(frozen=True)
class TagExamples:
    """Tagged sentences in order, and stored vectors of frozen encoders, if there are any.

    Attributes:
        tagged: the sentences.
        pieces: of the sentences, in order.
        has_predicates: whether the tags of a sentence are about one of its words.
        gold: the label indices of each piece, for training; () for other splits.
        stores: the stored vectors of the pieces, by the name of the encoder's part.
    """

    tagged: Sequence[TaggedSentence]
    pieces: Sequence[Piece]
    has_predicates: bool
    gold: Sequence[np.ndarray] = ()
    stores: Mapping[str, FeatureStore] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        tagged: Iterable[TaggedSentence],
        *,
        window_words: int,
        has_predicates: bool,
    ) -> TagExamples:
        """Cut sentences into pieces of at most `window_words` words; most are one piece."""
        tagged = list(tagged)
        pieces = [piece for index, one in enumerate(tagged) for piece in _cut(index, one.words, window_words)]
        return cls(tagged, pieces, has_predicates)

    def __len__(self) -> int:
        return len(self.pieces)

    def batch(self, pieces: Sequence[int]) -> TagBatch:
        """The training batch of the pieces with these indices."""
        inputs = self.inputs(pieces)
        gold = np.full(inputs.windows.mask_BT.shape, IGNORED)
        for row, index in zip(gold, pieces, strict=True):
            row[: len(self.gold[index])] = self.gold[index]
        names = [self.tagged[self.pieces[index].sentence].name for index in pieces]
        return TagBatch(inputs=inputs, gold_BT=torch.from_numpy(gold), names=names)

    def inputs(self, pieces: Sequence[int]) -> TagInputs:
        """The words of the pieces with these indices."""
        features = {
            name: store.gather([store.ranges[index] for index in pieces])
            for name, store in self.stores.items()
        }
        chosen = [self.pieces[index] for index in pieces]
        windows = WindowBatch(windows=[[piece.words] for piece in chosen], features=features)
        return TagInputs(windows, self._predicates(chosen, windows) if self.has_predicates else None)

    def gold_ids(self, labels: LabelSet) -> list[np.ndarray]:
        """The label indices of each piece's words; a span beyond a piece begins anew in the next."""
        return [
            np.array(labels.ids(self.tagged[index].tags[start : start + len(words)]))
            for index, start, words in self.pieces
        ]

    def windows(self) -> list[Window]:
        """The pieces as an encoder reads them."""
        return [[piece.words] for piece in self.pieces]

    def lengths(self) -> list[int]:
        """The number of words of each piece."""
        return [len(piece.words) for piece in self.pieces]

    def sentences(self) -> list[Sequence[str]]:
        """The words of all sentences in order."""
        return [sentence.words for sentence in self.tagged]

    def tags(self) -> list[Sequence[str]]:
        """The gold tags of all sentences."""
        return [sentence.tags for sentence in self.tagged]

    def counts(self) -> Counter[str]:
        """The number of occurrences of each word."""
        return Counter(word for words in self.sentences() for word in words)

    def facts(self, known: Collection[str], labels: LabelSet) -> dict[str, float | str]:
        """Counts of sentences and words, and warnings about tags.

        Args:
            known: the words of the training sentences.
            labels: that the tagger predicts.
        """
        counts = self.counts()
        facts: dict[str, float | str] = {"sentences": len(self.tagged), "words": counts.total()}
        unknown = sum(count for word, count in counts.items() if word not in known)
        if unknown:
            facts["words not in training"] = 100 * unknown / counts.total()
        facts["spans" if labels.has_spans else "tags"] = sum(1 for _ in self._labels(labels))
        repaired = sum(sentence.repaired for sentence in self.tagged)
        if repaired:
            facts["tags that break the scheme, read as the CoNLL script reads them"] = repaired
        types = labels.types()
        new = Counter(label for label in self._labels(labels) if label not in types)
        if new:
            shown = ", ".join(f"{label} ({count:,})" for label, count in new.most_common(_SHOWN))
            more = f" and {len(new) - _SHOWN:,} more" if len(new) > _SHOWN else ""
            facts["tags not in training"] = f"{shown}{more}; each counts as an error"
        if len(self.pieces) > len(self.tagged):
            cut = Counter(piece.sentence for piece in self.pieces)
            number = sum(count > 1 for count in cut.values())
            facts["sentences read in pieces"] = number
        return facts

    def _labels(self, labels: LabelSet) -> Iterator[str]:
        for sentence in self.tagged:
            yield from (span.label for span in labels.spans(sentence.tags))

    def _predicates(self, pieces: Sequence[Piece], windows: WindowBatch) -> Tensor:
        is_predicate_BT = torch.zeros(windows.mask_BT.shape, dtype=torch.long)
        for row_T, piece in zip(is_predicate_BT, pieces, strict=True):
            predicate = self.tagged[piece.sentence].predicate
            if predicate is not None and 0 <= predicate - piece.start < len(piece.words):
                row_T[predicate - piece.start] = 1
        return is_predicate_BT


def read_examples(source: TaggedSource, split: Split, *, window_words: int, seed: int) -> TagExamples:
    """Read the sentences of a split; InputError if there are none.

    Args:
        source: of the sentences.
        split: of the source.
        window_words: largest number of words that are read at once.
        seed: chooses the part of a training split that is cut.
    """
    tagged = source.read_examples(split, seed=seed)
    examples = TagExamples.of(tagged, window_words=window_words, has_predicates=source.has_predicates)
    if not examples.tagged:
        raise InputError(f"data: the {split} split has no sentences")
    return examples


def _cut(index: int, words: Sequence[str], window_words: int) -> Iterator[Piece]:
    for start in range(0, len(words), window_words):
        yield Piece(index, start, list(words[start : start + window_words]))
