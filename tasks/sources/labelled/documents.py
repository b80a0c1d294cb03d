"""Packaged documents with one label each, for pretraining and for classification, with the same splits."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from tasks.sources.labelled.source import LabelledSource, LabelledText
from tasks.sources.shared.fraction import Fraction
from tasks.sources.shared.split import SPLITS, Split
from tasks.sources.text.documents import DocumentSource


class LabelledDocuments(DocumentSource, LabelledSource):
    """A package's documents; their names are `group/number`.

    The splits are stratified by group and label. For classification, duplicates of a document are kept, but
    all of them are in the same split.

    Args:
        test_share: fraction of the documents for `test`.
        dev_share: fraction of the remaining documents for `dev`.
        split_seed: seed of the split.
        fraction: of the training documents, stratified by label; as running text, of the training paragraphs.
    """

    prose = True
    multi_label = False

    def __init__(
        self,
        *,
        test_share: float = 0.2,
        dev_share: float = 0.1,
        split_seed: int = 1,
        fraction: Fraction = 1.0,
    ) -> None:
        super().__init__(test_share=test_share, dev_share=dev_share, split_seed=split_seed, fraction=fraction)

    @abstractmethod
    def documents(self) -> Iterator[LabelledText]:
        """The documents, one paragraph per line, always in the same order."""

    def strata(self, documents: Sequence[LabelledText]) -> list[str]:
        return [f"{document.name.partition('/')[0]}/{document.labels[0]}" for document in documents]

    def check_examples(self, splits: Collection[Split] = SPLITS) -> None:
        self.directory()

    def describe_examples(self, split: Split) -> dict[str, Any]:
        return self.describe(split)

    def examples(self, split: Split) -> Iterator[LabelledText]:
        for document in self.split_documents(split):
            yield document._replace(name=f"{self.distribution}:{document.name}")
