"""A data source for text classification: a text in each file `<root>/<split>/<label>/*.txt`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from elmo.errors import InputError
from elmo.registry import REGISTRY
from tasks.sources.labelled.source import LabelledSource, LabelledText
from tasks.sources.shared.split import SPLITS, Split


@REGISTRY.register("data", "label_folders")
class LabelFolders(LabelledSource):
    """Texts whose folder is their label.

    Args:
        root: the directory of the folders `train`, `dev` and `test`.
        prose: whether texts are split into sentences.
        language: ISO 639-1 code, for sentence splitting.
    """

    multi_label = False

    def __init__(self, *, root: Path, prose: bool, language: str) -> None:
        self.root, self.prose, self.language = root, prose, language

    def check_examples(self, splits: Collection[Split] = SPLITS) -> None:
        for split in splits:
            if not self._files(split):
                raise InputError(f"data.root: no text {self.root / split}/LABEL/*.txt")

    def describe_examples(self, split: Split) -> dict[str, Any]:
        # the paths stand for the content of their files
        return {"type": "label_folders", "files": [[path.parent.name, path] for path in self._files(split)]}

    def examples(self, split: Split) -> Iterator[LabelledText]:
        for path in self._files(split):
            yield LabelledText(str(path), path.read_text(encoding="utf-8"), (path.parent.name,))

    def _files(self, split: Split) -> list[Path]:
        return sorted(self.root.expanduser().glob(f"{split}/*/*.txt"))
