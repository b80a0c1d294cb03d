"""Packaged documents with a label each: text to pretrain on, and texts to classify."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from tasks.sources.labelled.source import LabelledSource, LabelledText
from tasks.sources.shared.split import SPLITS, Split
from tasks.sources.shared.split_shares import SplitShares
from tasks.sources.text.documents import DocumentSource

_GIVEN: tuple[Split, ...] = ("train",)  # the others are split off


class LabelledDocuments(DocumentSource, LabelledSource):
    """A package's documents; their names begin with the group that they belong to: `group/number`.

    The two uses split the documents each in its own way. That into three keeps the shares of each label in
    each group; a document that occurs twice counts twice, but its copies are in one split.

    Args:
        heldout_every: every n-th document is held out from text to pretrain on.
        test_share: of the documents, for `test`.
        dev_share: of the other ones, for `dev`.
        split_seed: another one splits otherwise.
    """

    prose = True
    multi_label = False

    def __init__(
        self,
        *,
        heldout_every: int = 20,
        test_share: float = 0.2,
        dev_share: float = 0.1,
        split_seed: int = 1,
    ) -> None:
        super().__init__(heldout_every=heldout_every)
        self._shares = SplitShares(test_share=test_share, dev_share=dev_share, split_seed=split_seed)

    @abstractmethod
    def labelled_documents(self) -> Iterator[LabelledText]:
        """The documents, a paragraph a line, in an order that never changes."""

    def documents(self) -> Iterator[tuple[str, str]]:
        return ((document.name, document.text) for document in self.labelled_documents())

    def check_examples(self, splits: Collection[Split] = SPLITS) -> None:
        self.directory()

    def describe_examples(self, split: Split) -> dict[str, Any]:
        return self.describe_package() | self._shares.describe(split, _GIVEN)

    def examples(self, split: Split) -> Iterator[LabelledText]:
        for document in self._shares.take(split, _GIVEN, self._read, _groups_and_labels):
            yield document._replace(name=f"{self.distribution}:{document.name}")

    def _read(self, split: Split) -> Iterator[LabelledText]:
        return self.labelled_documents()


def _groups_and_labels(documents: Sequence[LabelledText]) -> list[str]:
    return [f"{document.name.partition('/')[0]}/{document.labels[0]}" for document in documents]
