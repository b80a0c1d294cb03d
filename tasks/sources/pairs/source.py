"""The interface of a source of pairs of sentences, each with a label or a score."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from tasks.sources.labelled.source import rarest_labels
from tasks.sources.pairs.pair_table import PairTable
from tasks.sources.shared.fraction import Cuttable, take_fraction
from tasks.sources.shared.split import SPLITS, Split

Target: TypeAlias = Literal["label", "score"]


class PairExample(NamedTuple):
    """Two sides, and what is to be predicted of them.

    Attributes:
        name: unique in its split: the pair's id in the data, or its position `file:line`.
        first, second: the sides, such as premise and hypothesis; each line of them is a sentence.
        label: the label's name, with the target `label`; otherwise None.
        score: a finite number, with the target `score`; otherwise None.
    """

    name: str
    first: str
    second: str
    label: str | None = None
    score: float | None = None

    @property
    def text(self) -> str:
        """Both sides as one text."""
        return f"{self.first}\n{self.second}"

    @property
    def labels(self) -> tuple[str, ...]:
        """The label, if there is one."""
        return () if self.label is None else (self.label,)


class PairSource(Cuttable, ABC):
    """Pairs of sentences in three splits that are the same in every run.

    Attributes:
        target: what each pair has: a label, or a score.
        table: where the sides of a row are, if the data is a table; predictions read tables in the same way.
    """

    table = PairTable()
    target: Target

    @abstractmethod
    def check_examples(self, splits: Collection[Split] = SPLITS) -> None:
        """Quick check, without reading the data; InputError if a split is missing or cannot be read."""

    @abstractmethod
    def describe_examples(self, split: Split) -> dict[str, Any]:
        """Everything that determines a split's examples, for `tasks.sources.shared.fingerprint`."""

    @abstractmethod
    def examples(self, split: Split) -> Iterator[PairExample]:
        """A split's pairs in order; InputError at a fault of the data."""

    def read_examples(self, split: Split, *, seed: int) -> Iterable[PairExample]:
        """The pairs that a run of this seed reads: of a cut training split a part, stratified by label.

        Raises:
            InputError: a fault of the data, or nothing is left of it.
        """
        if not self.is_cut(split):
            return self.examples(split)
        pairs = list(self.examples(split))
        return take_fraction(
            pairs,
            fraction=self.fraction,
            seed=seed,
            contents=[pair.text for pair in pairs],
            strata=strata_of(pairs),
        )


def strata_of(pairs: Sequence[PairExample]) -> list[str]:
    """Each pair's label; pairs with scores are one stratum. InputError for labels that are no classes."""
    return rarest_labels(pairs) if any(pair.labels for pair in pairs) else [""] * len(pairs)
