"""The three splits of every data set."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, TypeAlias

Split: TypeAlias = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")


def origin_of(split: Split, given: Collection[Split]) -> Split:
    """The split that contains a split: itself if the data has it, otherwise `train`."""
    return split if split in given else "train"
