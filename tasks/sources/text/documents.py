"""Corpora in installed Python packages: documents of prose, each in one split as a whole."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from abc import abstractmethod
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from elmo.errors import InputError
from tasks.sources.shared.fraction import Fraction
from tasks.sources.shared.split import SPLITS, Split
from tasks.sources.shared.split_shares import SplitShares
from tasks.sources.text.source import LineBatch, Source

GIVEN: tuple[Split, ...] = ("train",)  # the splits of a package; the others are taken from it


class Document(NamedTuple):
    """A document of a package.

    Attributes:
        name: its position in the package.
        text: one paragraph per line.
    """

    name: str
    text: str


class DocumentSource(Source):
    """A package's documents.

    A document and its copies are in the same split for all tasks: no test text is known from its neighbours,
    from a copy, or to a model that was pretrained on the same package. As running text, copies of a document
    are read only once.

    Args:
        test_share: fraction of the documents for `test`.
        dev_share: fraction of the remaining documents for `dev`.
        split_seed: seed of the split.
        fraction: of the training paragraphs.
    """

    language = "en"
    module: str  # the package as Python imports it
    distribution: str  # the package as pip installs it

    def __init__(
        self, *, test_share: float, dev_share: float, split_seed: int = 1, fraction: Fraction = 1.0
    ) -> None:
        self.fraction = fraction
        self._shares = SplitShares(test_share=test_share, dev_share=dev_share, split_seed=split_seed)

    @abstractmethod
    def documents(self) -> Iterator[Any]:
        """The documents, with at least the fields of `Document`, always in the same order."""

    @abstractmethod
    def strata(self, documents: Sequence[Any]) -> list[str]:
        """The stratum of each document, for stratified splits."""

    def split_documents(self, split: Split) -> Iterator[Any]:
        """A split's documents in order."""
        return self._shares.take(split, GIVEN, lambda _: self.documents(), self.strata)

    def check(self, splits: Collection[Split] = SPLITS) -> None:
        self.directory()

    def directory(self) -> Path:
        """The package's directory, without importing it: two of the packages load all data on import."""
        found = importlib.util.find_spec(self.module)
        if found is None or not found.submodule_search_locations:
            raise InputError(
                f'data: the package {self.distribution} is not installed: pip install -e ".[corpora]"'
            )
        return Path(found.submodule_search_locations[0])

    def describe(self, split: Split) -> dict[str, Any]:
        self.check()
        package = {"package": self.distribution, "version": importlib.metadata.version(self.distribution)}
        return package | self._shares.describe(split, GIVEN)

    def lines(self, split: Split) -> Iterator[LineBatch]:
        seen: set[str] = set()
        for document in self.split_documents(split):
            if document.text not in seen:
                seen.add(document.text)
                name = f"{self.distribution}:{document.name}"
                yield LineBatch(name, 1, document.text.split("\n"), prose=True)
