"""The pairs of one split of the data, and their batches.

Shape legend: N pairs, M distinct sides, B pairs of a batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from elmo.errors import InputError
from tasks.sources.pairs.source import PairExample, PairSource
from tasks.sources.shared.split import Split
from tasks.supervised.batches import ExampleBatch
from tasks.supervised.feature_store import FeatureStore
from tasks.supervised.representation import Window, WindowBatch
from tasks.task import Report
from tasks.text_classification.windows import EMPTY, TextReader

_PAIRS_PER_REPORT = 256


@dataclass(frozen=True)
class PairBatch(ExampleBatch):
    """A batch of pairs.

    Attributes:
        sides: 2 B windows, all first sides before all second ones.
        gold_B: the gold values.
        names: the B names of the pairs.
    """

    sides: WindowBatch
    gold_B: Tensor
    names: list[str]

    @property
    def num_units(self) -> int:
        return len(self.names) + self.num_others

    def to(self, device: torch.device) -> PairBatch:
        """The same batch on a device."""
        gold_B = self.gold_B if device.type == "cpu" else self.gold_B.to(device, _on_device(self.gold_B))
        return replace(self, sides=self.sides.to(device), gold_B=gold_B)


def _on_device(gold_B: Tensor) -> torch.dtype:
    """Not all devices have float64."""
    return torch.float32 if gold_B.is_floating_point() else gold_B.dtype


@dataclass(frozen=True)
class PairExamples:
    """Pairs in order, and stored vectors of frozen encoders, if there are any.

    Sides of the same words, such as a premise of several hypotheses, are one window, which is stored once.

    Attributes:
        names: the N names of the pairs.
        windows: the M distinct sides.
        first_N, second_N: the index of each pair's sides.
        num_dropped_M: number of words that were truncated of each side.
        gold_N: the gold values.
        given: the N gold labels or scores, as they are in the data.
        texts: of the test split the N sides as they are in the data, to be written beside their predictions.
        stores: the stored vectors of the windows, by the name of the encoder's part.
    """

    names: list[str]
    windows: list[Window]
    first_N: np.ndarray
    second_N: np.ndarray
    num_dropped_M: np.ndarray
    gold_N: Tensor
    given: Sequence[str | float]
    texts: Sequence[tuple[str, str]] = ()
    stores: Mapping[str, FeatureStore] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    def batch(self, pairs: Sequence[int]) -> PairBatch:
        """The batch of the pairs with these indices."""
        chosen = list(pairs)
        numbers = [*self.first_N[chosen].tolist(), *self.second_N[chosen].tolist()]
        features = {
            name: store.gather([store.ranges[n] for n in numbers]) for name, store in self.stores.items()
        }
        return PairBatch(
            sides=WindowBatch([self.windows[n] for n in numbers], features),
            gold_B=self.gold_N[chosen],
            names=[self.names[pair] for pair in chosen],
        )

    def lengths(self) -> list[int]:
        """The number of words of each pair's longer side, to which both are padded."""
        lengths_M = np.array([sum(map(len, window)) for window in self.windows])
        found: list[int] = np.maximum(lengths_M[self.first_N], lengths_M[self.second_N]).tolist()
        return found

    def sides(self) -> Iterator[tuple[list[str], list[str]]]:
        """The words of each pair's sides."""
        words = [list(chain.from_iterable(window)) for window in self.windows]
        for first, second in zip(self.first_N, self.second_N, strict=True):
            yield words[first], words[second]

    def sentences(self) -> list[Sequence[str]]:
        """All sentences of the distinct sides."""
        return [sentence for window in self.windows for sentence in window]

    def counts(self) -> Counter[str]:
        """The number of occurrences of each word in the distinct sides."""
        return Counter(word for sentence in self.sentences() for word in sentence)

    def facts(self, known: Collection[str]) -> dict[str, float | str]:
        """Counts of pairs and words, and the fraction of words that are not in `known`."""
        counts = self.counts()
        unknown = sum(count for word, count in counts.items() if word not in known)
        facts: dict[str, float | str] = {"pairs": len(self), "distinct sides": len(self.windows)}
        facts |= {"words of distinct sides": counts.total(), "types": len(counts)}
        if unknown:
            facts["words not in training"] = 100 * unknown / counts.total()
        if self.num_dropped_M.any():
            facts["sides truncated"] = f"{(self.num_dropped_M > 0).sum():,} of distinct ones"
        empty = sum(window == [[EMPTY]] for window in self.windows)
        if empty:
            facts["sides without words"] = f"read as {EMPTY}"
        return facts


def read_pairs(
    source: PairSource,
    split: Split,
    reader: TextReader,
    *,
    gold: Callable[[Sequence[PairExample]], Tensor],
    seed: int,
    report: Report,
) -> PairExamples:
    """Read the pairs of a split; InputError if there are none.

    Args:
        source: of the pairs.
        split: of the source.
        reader: tokenizes a side.
        gold: gives the gold values.
        seed: chooses the part of a training split that is cut.
        report: called with words, sentences and an unknown fraction while pairs are read.
    """
    pairs = list(source.read_examples(split, seed=seed))
    if not pairs:
        raise InputError(f"data: the {split} split has no pairs")
    found = number_sides(((pair.first, pair.second) for pair in pairs), reader, report)
    return replace(
        found,
        names=[pair.name for pair in pairs],
        gold_N=gold(pairs),
        given=[_given(pair) for pair in pairs],
        texts=[(pair.first, pair.second) for pair in pairs] if split == "test" else (),
    )


def number_sides(
    texts: Iterable[tuple[str, str]], reader: TextReader, report: Report = lambda *_: None
) -> PairExamples:
    """The windows of some pairs, without names and gold values."""
    numbers: dict[tuple[tuple[str, ...], ...], int] = {}  # of distinct sides
    dropped: list[int] = []
    known: dict[str, str] = {}  # interned: all occurrences of a word share one object
    of_text: dict[str, int] = {}
    chosen: list[tuple[int, int]] = []
    num_words = 0

    def number_of(text: str) -> int:
        nonlocal num_words
        if text not in of_text:
            read = reader.read(text)
            (window,) = read.windows  # as many words as one window may have were kept
            key = tuple(tuple(known.setdefault(word, word) for word in sentence) for sentence in window)
            if key not in numbers:
                numbers[key] = len(numbers)
                dropped.append(read.num_dropped)
                num_words += read.num_words
            of_text[text] = numbers[key]
        return of_text[text]

    for first, second in texts:
        chosen.append((number_of(first), number_of(second)))
        if len(chosen) % _PAIRS_PER_REPORT == 0:
            report(num_words, len(numbers), None)
    first_N, second_N = np.array(chosen, dtype=np.int64).reshape(-1, 2).T
    return PairExamples(
        names=[""] * len(chosen),
        windows=[[list(sentence) for sentence in key] for key in numbers],
        first_N=first_N,
        second_N=second_N,
        num_dropped_M=np.array(dropped),
        gold_N=torch.zeros(len(chosen)),
        given=(),
    )


def all_windows(source: PairSource, split: Split, reader: TextReader) -> list[Window]:
    """The distinct sides of a whole split, also of one that is cut."""
    pairs = ((pair.first, pair.second) for pair in source.examples(split))
    return number_sides(pairs, reader).windows


def _given(pair: PairExample) -> str | float:
    found = pair.label if pair.score is None else pair.score
    assert found is not None
    return found
