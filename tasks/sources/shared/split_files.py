"""The user's files of each split of a data set."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from elmo.errors import InputError
from tasks.sources.shared.local_files import find_files
from tasks.sources.shared.remote_files import File
from tasks.sources.shared.split import SPLITS, Split


@dataclass(frozen=True, kw_only=True)
class SplitFiles:
    """Paths, addresses or globs of each split; None: the split has no files."""

    train: str | list[str] | None
    dev: str | list[str] | None
    test: str | list[str] | None

    @property
    def given(self) -> tuple[Split, ...]:
        return tuple(split for split in SPLITS if self._patterns(split) is not None)

    def find(self, split: Split) -> list[File]:
        """A split's files; InputError if there are none."""
        patterns = self._patterns(split)
        if patterns is None:
            raise InputError(f"data.{split}: missing; give a path or a glob")
        return find_files(patterns, key=f"data.{split}")

    def find_all(self, splits: Collection[Split]) -> dict[Split, list[File]]:
        """The files of several splits; InputError if a file is in two of them."""
        found = {split: self.find(split) for split in SPLITS if split in splits}
        split_of: dict[File, Split] = {}
        for split, paths in found.items():
            for path in paths:
                other = split_of.setdefault(path.resolve(), split)
                if other != split:
                    raise InputError(f"data.{split}: {path} is also in data.{other}")
        return found

    def _patterns(self, split: Split) -> str | list[str] | None:
        return {"train": self.train, "dev": self.dev, "test": self.test}[split]
