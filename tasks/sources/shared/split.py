"""The three splits of every data set, whatever it holds."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, TypeAlias

Split: TypeAlias = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")


def origin_of(split: Split, given: Collection[Split]) -> Split:
    """The given split that a split is read from: a split that is not given is taken off `train`."""
    return split if split in given else "train"
