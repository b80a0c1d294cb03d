"""The sources in a config: that of the key `data`, and those that it is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def data_nodes(data: Any, *, where: str = "data") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The keys and nodes of a source and, below it, of all sources that it is made of.

    Args:
        data: the config node; anything else has none.
        where: its key.
    """
    if not isinstance(data, Mapping):
        return
    if "type" in data:
        yield where, data
    for key, value in data.items():
        yield from data_nodes(value, where=f"{where}.{key}")
