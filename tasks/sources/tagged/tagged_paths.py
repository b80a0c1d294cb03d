"""What sources of tagged sentences in the user's files have in common: the files of each split."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterator
from typing import Any

from tasks.sources.shared.remote_files import File
from tasks.sources.shared.split import SPLITS, Split, origin_of
from tasks.sources.shared.split_files import SplitFiles
from tasks.sources.shared.split_shares import SplitShares
from tasks.sources.tagged.source import TaggedSentence, TaggedSource, no_strata


class TaggedPaths(TaggedSource):
    """Tagged sentences in files given by path, address or glob, perhaps compressed.

    Args:
        files: of each split.
        shares: of the splits that are not given.
    """

    def __init__(self, *, files: SplitFiles, shares: SplitShares) -> None:
        self._files, self._shares = files, shares

    @abstractmethod
    def read_file(self, path: File, *, key: str) -> Iterator[TaggedSentence]:
        """The sentences of a file in order, which the config's `key` gives; InputError at a fault."""

    @abstractmethod
    def describe_columns(self) -> dict[str, Any]:
        """Everything that determines how a file is read, in plain values for JSON."""

    def check_examples(self, splits: Collection[Split] = SPLITS) -> None:
        self._files.find_all({origin_of(split, self._files.given) for split in splits})

    def describe_examples(self, split: Split) -> dict[str, Any]:
        files = self._files.find(origin_of(split, self._files.given))
        shares = self._shares.describe(split, self._files.given)
        return {"files": files, "columns": self.describe_columns()} | shares

    def examples(self, split: Split) -> Iterator[TaggedSentence]:
        return self._shares.take(split, self._files.given, self._read, no_strata)

    def _read(self, split: Split) -> Iterator[TaggedSentence]:
        for path in self._files.find(split):
            yield from self.read_file(path, key=f"data.{split}")
