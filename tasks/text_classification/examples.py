"""The labelled texts of one split of the data, as windows of words, and their batches.

Shape legend: N texts, B windows of all of them, V labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from elmo.errors import InputError, suggest
from tasks.sources.labelled.source import LabelledSource, LabelledText, count_labels
from tasks.sources.shared.split import Split
from tasks.supervised.batches import ExampleBatch
from tasks.supervised.feature_store import FeatureStore
from tasks.supervised.representation import Window, WindowBatch
from tasks.task import Report
from tasks.text_classification.windows import EMPTY, TextReader, WindowedText

_TEXTS_PER_REPORT = 256


@dataclass(frozen=True)
class TextBatch(ExampleBatch):
    """A batch of texts.

    Attributes:
        windows: the B windows, text by text.
        text_of_window_B: the index of each window's text, ascending.
        gold_NV: bool, the gold labels.
        names: the N names of the texts.
    """

    windows: WindowBatch
    text_of_window_B: Tensor
    gold_NV: Tensor
    names: list[str]

    @property
    def num_units(self) -> int:
        return len(self.names) + self.num_others


@dataclass(frozen=True)
class TextExamples:
    """Texts in order, and stored vectors of frozen encoders, if there are any.

    Attributes:
        names: the N names of the texts.
        windows: the windows of all texts, text by text.
        offsets: (N + 1,); the windows of text i are `offsets[i]` to `offsets[i + 1]`.
        num_words: (N,) number of words after truncation.
        num_dropped: (N,) number of words removed by truncation.
        gold_NV: bool, the gold labels.
        stores: the stored vectors of the windows, by the name of the encoder's part.
        texts: of the test split the N texts as they are in the data, to be written beside their predictions.
    """

    names: list[str]
    windows: list[Window]
    offsets: np.ndarray
    num_words: np.ndarray
    num_dropped: np.ndarray
    gold_NV: Tensor
    stores: Mapping[str, FeatureStore] = field(default_factory=dict)
    texts: Sequence[str] = ()

    @classmethod
    def of(cls, names: list[str], texts: Sequence[WindowedText], gold_NV: Tensor) -> TextExamples:
        """Build the examples from windowed texts and their labels."""
        return cls(
            names=names,
            windows=[window for text in texts for window in text.windows],
            offsets=np.cumsum([0, *(len(text.windows) for text in texts)]),
            num_words=np.array([text.num_words for text in texts]),
            num_dropped=np.array([text.num_dropped for text in texts]),
            gold_NV=gold_NV,
        )

    def __len__(self) -> int:
        return len(self.names)

    def batch(self, texts: Sequence[int]) -> TextBatch:
        """The batch of the texts with these indices."""
        numbers, text_of_window_B = self.windows_of(texts)
        return TextBatch(
            windows=self.window_batch(numbers),
            text_of_window_B=text_of_window_B,
            gold_NV=self.gold_NV[list(texts)],
            names=[self.names[text] for text in texts],
        )

    def windows_of(self, texts: Sequence[int]) -> tuple[list[int], Tensor]:
        """The indices of some texts' windows, and (B,) the position of each window's text in `texts`."""
        ranges = [range(self.offsets[text], self.offsets[text + 1]) for text in texts]
        text_of_window_B = torch.repeat_interleave(torch.tensor([len(numbers) for numbers in ranges]))
        return [number for numbers in ranges for number in numbers], text_of_window_B

    def window_batch(self, numbers: Sequence[int]) -> WindowBatch:
        """The batch of the windows with these indices."""
        features = {
            name: store.gather([store.ranges[n] for n in numbers]) for name, store in self.stores.items()
        }
        return WindowBatch(windows=[self.windows[n] for n in numbers], features=features)

    def words(self) -> Iterator[list[str]]:
        """The words of each text."""
        for start, stop in zip(self.offsets, self.offsets[1:], strict=False):
            yield [word for window in self.windows[start:stop] for sentence in window for word in sentence]

    def sentences(self) -> list[Sequence[str]]:
        """All sentences of all texts in order."""
        return [sentence for window in self.windows for sentence in window]

    def counts(self) -> Counter[str]:
        """The number of occurrences of each word."""
        return Counter(word for sentence in self.sentences() for word in sentence)

    def facts(self, known: Collection[str]) -> dict[str, float | str]:
        """Counts of texts and words, and the fraction of words that are not in `known`."""
        counts = self.counts()
        unknown = sum(count for word, count in counts.items() if word not in known)
        facts: dict[str, float | str] = {"texts": len(self), "words": int(self.num_words.sum())}
        facts["types"] = len(counts)
        if unknown:
            facts["words not in training"] = 100 * unknown / counts.total()
        if len(self.windows) > len(self):
            facts["windows"] = len(self.windows)
        if self.num_dropped.any():
            share = self.num_dropped.sum() / (self.num_dropped + self.num_words).sum()
            facts["texts truncated"] = f"{(self.num_dropped > 0).sum():,}, of {share:.2%} of all words"
        if not self.num_words.all():
            facts["texts without words"] = f"{(self.num_words == 0).sum():,}, read as {EMPTY}"
        return facts


def read_labels(source: LabelledSource) -> list[str]:
    """The labels of all training texts, sorted; InputError if they are none to classify by.

    Those that a part of the texts does not have are labels all the same, as dev and test have them.
    """
    counts = count_labels(source.examples("train"))
    labels = sorted(counts)
    if len(labels) < 2 and not (source.multi_label and labels):
        found = f"only the label {labels[0]!r}" if labels else "no label"
        raise InputError(f"data: the training texts have {found}; a classifier needs at least two")
    return labels


def read_examples(
    source: LabelledSource,
    split: Split,
    reader: TextReader,
    labels: Sequence[str],
    *,
    seed: int,
    report: Report,
) -> TextExamples:
    """Read the texts of a split; InputError for a label that is not in `labels`, or if there are no texts.

    Args:
        source: of the texts.
        split: of the source.
        reader: tokenizes a text.
        labels: of the training texts.
        seed: chooses the part of a training split that is cut.
        report: called with words, sentences and an unknown fraction while texts are read.
    """
    ids = {label: index for index, label in enumerate(labels)}
    names, texts, gold, windowed = [], [], [], []
    known: dict[str, str] = {}
    num_words = num_sentences = 0
    for example in source.read_examples(split, seed=seed):
        names.append(example.name)
        if split == "test":
            texts.append(example.text)
        gold.append(_gold(example, ids, split, multi_label=source.multi_label))
        windowed.append(_shared(reader.read(example.text), known))
        num_words += windowed[-1].num_words
        num_sentences += sum(map(len, windowed[-1].windows))
        if len(names) % _TEXTS_PER_REPORT == 0:
            report(num_words, num_sentences, None)
    if not names:
        raise InputError(f"data: the {split} split has no texts")
    return replace(TextExamples.of(names, windowed, torch.stack(gold)), texts=texts)


def _shared(text: WindowedText, known: dict[str, str]) -> WindowedText:
    """The text with interned words: all occurrences of a word share one object, which saves memory."""
    windows = [
        [[known.setdefault(word, word) for word in sentence] for sentence in window]
        for window in text.windows
    ]
    return text._replace(windows=windows)


def _gold(example: LabelledText, ids: dict[str, int], split: Split, *, multi_label: bool) -> Tensor:
    """(V,) bool, the gold labels of a text."""
    for label in example.labels:
        if label not in ids:
            raise InputError(
                f"{example.name}: label {label!r} of the {split} split does not occur in the training texts"
                f"{suggest(label, ids)}"
            )
    if len(example.labels) != 1 and not multi_label:
        raise InputError(f"{example.name}: expected one label, got {len(example.labels)}")
    gold_V = torch.zeros(len(ids), dtype=torch.bool)
    gold_V[[ids[label] for label in example.labels]] = True
    return gold_V
