"""The user's own files of each part of a labelled data set."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from elmo.errors import InputError
from tasks.sources.labelled.source import PARTS, Part
from tasks.sources.shared.local_files import find_files


@dataclass(frozen=True, kw_only=True)
class PartFiles:
    """Paths or globs of each part; None: it is not given."""

    train: str | list[str] | None
    dev: str | list[str] | None
    test: str | list[str] | None

    @property
    def given(self) -> tuple[Part, ...]:
        return tuple(part for part in PARTS if self._patterns(part) is not None)

    def find(self, part: Part) -> list[Path]:
        """A part's files; InputError when there are none."""
        patterns = self._patterns(part)
        if patterns is None:
            raise InputError(f"data.{part}: missing; give a path or a glob")
        return find_files(patterns, key=f"data.{part}")

    def find_all(self, parts: Collection[Part]) -> dict[Part, list[Path]]:
        """The files of several parts; InputError when one is in two of them."""
        found = {part: self.find(part) for part in PARTS if part in parts}
        part_of: dict[Path, Part] = {}
        for part, paths in found.items():
            for path in paths:
                other = part_of.setdefault(path.resolve(), part)
                if other != part:
                    raise InputError(f"data.{part}: {path} is also in data.{other}")
        return found

    def _patterns(self, part: Part) -> str | list[str] | None:
        return {"train": self.train, "dev": self.dev, "test": self.test}[part]
