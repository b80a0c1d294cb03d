"""The interface of a source of labelled texts: sentiment, topics, types of questions."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from elmo.errors import InputError, shown
from tasks.sources.labelled.text_table import TextTable
from tasks.sources.shared.fraction import take_fraction
from tasks.sources.shared.split import SPLITS, Split
from tasks.sources.text.source import CONTROLS_TO_SPACES, LineBatch, Source

_FEWEST_SUSPICIOUS = 20  # different labels, from where on they may be none
_NUMBER = re.compile(r"[-+]?\d{1,300}(\.\d*)?([eE][-+]?\d{1,2})?")


class LabelledText(NamedTuple):
    """A text and its labels: one, unless the source is multi-label.

    Attributes:
        name: unique in its split: the text's id in the data, or its position `file:line` or
            `package:document`.
        text: the raw text.
        labels: the labels' names.
    """

    name: str
    text: str
    labels: tuple[str, ...]


class HasLabels(Protocol):
    """An example with the names of its labels."""

    @property
    def labels(self) -> tuple[str, ...]: ...


class LabelledSource(Source):
    """Labelled texts in three splits that are the same in every run; as running text, they have no labels.

    Attributes:
        prose: whether texts are split into sentences.
        language: ISO 639-1 code, for sentence splitting.
        multi_label: whether a text may have several labels, or none.
        table: where the text of a row is, if the data is a table; predictions read tables in the same way.
    """

    table = TextTable()
    prose: bool
    language: str
    multi_label: bool

    @abstractmethod
    def check_examples(self, splits: Collection[Split] = SPLITS) -> None:
        """Quick check, without reading the data; InputError if a split is missing or cannot be read."""

    @abstractmethod
    def describe_examples(self, split: Split) -> dict[str, Any]:
        """Everything that determines a split's examples, for `tasks.sources.shared.fingerprint`."""

    @abstractmethod
    def examples(self, split: Split) -> Iterator[LabelledText]:
        """A split's examples in order; InputError at a fault of the data."""

    def read_examples(self, split: Split, *, seed: int) -> Iterable[LabelledText]:
        """The examples that a run of this seed reads: of a cut training split a stratified part.

        The strata are the texts' labels, of several labels the rarest one.

        Raises:
            InputError: a fault of the data, or nothing is left of it.
        """
        if not self.is_cut(split):
            return self.examples(split)
        texts = list(self.examples(split))
        return take_fraction(
            texts,
            fraction=self.fraction,
            seed=seed,
            contents=[text.text for text in texts],
            strata=rarest_labels(texts),
        )

    def check(self, splits: Collection[Split] = SPLITS) -> None:
        self.check_examples(splits)

    def describe(self, split: Split) -> dict[str, Any]:
        return {"texts_of": self.describe_examples(split), "prose": self.prose, "language": self.language}

    def lines(self, split: Split) -> Iterator[LineBatch]:
        for name, text, _ in self.examples(split):
            text = text.translate(CONTROLS_TO_SPACES)
            yield LineBatch(name, 1, [text] if self.prose else text.splitlines(), self.prose)


def count_labels(examples: Iterable[HasLabels]) -> Counter[str]:
    """The number of texts of each label; InputError for labels that are no classes."""
    counts: Counter[str] = Counter()
    num_texts = 0
    for example in examples:
        counts.update(example.labels)
        num_texts += 1
    _refuse_no_classes(sorted(counts), num_texts)
    return counts


def rarest_labels(examples: Sequence[HasLabels]) -> list[str]:
    """For each text its rarest label; "" if it has no label. InputError for labels that are no classes."""
    counts = count_labels(examples)
    return [min(example.labels, key=lambda label: (counts[label], label), default="") for example in examples]


def _refuse_no_classes(labels: Sequence[str], num_texts: int) -> None:
    """InputError for labels that are scores, such as 0.53, or that tell nearly all texts apart, as ids do."""
    if len(labels) <= _FEWEST_SUSPICIOUS:
        return
    given = f"data: {num_texts:,} texts have {len(labels):,} different labels"
    numbers = [float(label) for label in labels if _NUMBER.fullmatch(label)]
    if len(numbers) == len(labels) and any(not number.is_integer() for number in numbers):
        raise InputError(
            f"{given}, numbers from {min(numbers):g} to {max(numbers):g}: they are scores,"
            " which only task=relatedness predicts, of pairs; give classes, such as ranges of the scores"
        )
    if len(labels) > num_texts / 2:
        examples = ", ".join(shown(label) for label in labels[:3])
        raise InputError(f"{given}, such as {examples}: too few texts of each; is data.label_column right?")
