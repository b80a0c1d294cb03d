"""Splits off missing dev and test splits from the training data; the same texts in every run."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from elmo.errors import InputError
from tasks.sources.shared.split import Split


class HasText(Protocol):
    """An example with a text."""

    @property
    def text(self) -> str: ...


Text = TypeVar("Text", bound=HasText)


@dataclass(frozen=True, kw_only=True)
class SplitShares:
    """The sizes of the splits that are taken from the training data, and the choice of their texts.

    Args:
        test_share: fraction of all texts for `test`, unless the data has this split.
        dev_share: fraction of the remaining texts for `dev`, unless the data has this split.
        split_seed: seed of the choice.

    Raises:
        InputError: a share is not between 0 and 1.
    """

    test_share: float
    dev_share: float
    split_seed: int

    def __post_init__(self) -> None:
        for key, share in (("test_share", self.test_share), ("dev_share", self.dev_share)):
            if not 0 < share < 1:
                raise InputError(f"data.{key}: {share} must lie between 0 and 1")

    def describe(self, split: Split, given: Collection[Split]) -> dict[str, Any]:
        """Everything that determines which texts a split has, in plain values for JSON."""
        if self._is_whole(split, given):
            return {"split": split}
        return {"split": split, "taken": self._missing(given), "split_seed": self.split_seed}

    def take(
        self,
        split: Split,
        given: Collection[Split],
        read: Callable[[Split], Iterable[Text]],
        strata_of: Callable[[Sequence[Text]], list[str]],
    ) -> Iterator[Text]:
        """A split's texts in order.

        Args:
            split: the split to read.
            given: the splits that the data has.
            read: reads all texts of such a split.
            strata_of: the stratum of each text, for stratified splits.

        Raises:
            InputError: there is no text, or too few for a split.
        """
        if self._is_whole(split, given):
            yield from _refuse_none(read(split), split)
            return
        examples = list(_refuse_none(read("train"), "train"))
        strata = strata_of(examples)
        texts = [example.text for example in examples]
        splits = assign_splits(texts, strata, shares=self._missing(given), seed=self.split_seed)
        yield from (
            example for example, its_split in zip(examples, splits, strict=True) if its_split == split
        )

    def _is_whole(self, split: Split, given: Collection[Split]) -> bool:
        """Whether the data has a split and no other split is taken from it."""
        return split in given and not (split == "train" and self._missing(given))

    def _missing(self, given: Collection[Split]) -> dict[Split, float]:
        shares: dict[Split, float] = {"test": self.test_share, "dev": self.dev_share}
        return {split: share for split, share in shares.items() if split not in given}


def assign_splits(
    texts: Sequence[str], strata: Sequence[str], *, shares: Mapping[Split, float], seed: int
) -> list[Split]:
    """The split of each text: each share is a fraction of the texts that are left; the rest is `train`.

    The choice depends on the texts' content and the seed, not on their order. Copies of a text (up to white
    space and case) are in the same split. Strata keep their proportions in each split as well as whole texts
    allow, and each keeps at least one text in `train`.

    Args:
        texts: the raw texts.
        strata: the stratum of each text; copies have the stratum of the first one.
        shares: the fraction for each split to take.
        seed: of the choice.

    Raises:
        InputError: a split would be empty.
    """
    splits: list[Split] = ["train"] * len(texts)
    groups = _groups_of_copies(texts, seed)
    for split, share in shares.items():
        left: dict[str, list[list[int]]] = defaultdict(list)
        for group in groups:
            if splits[group[0]] == "train":
                left[strata[group[0]]].append(group)
        chosen = _choose(left, share)
        if not chosen:
            raise InputError(
                f"data.{split}_share: {share} leaves nothing for {split} of {len(texts)} texts; "
                f"make it larger or give data.{split}"
            )
        for index in chosen:
            splits[index] = split
    return splits


def _groups_of_copies(texts: Sequence[str], seed: int) -> list[list[int]]:
    """Groups of indices of texts that are copies of each other, in an order that depends on their content."""
    groups: dict[bytes, list[int]] = defaultdict(list)
    for index, text in enumerate(texts):
        content = f"{seed} {' '.join(text.casefold().split())}"
        groups[hashlib.blake2b(content.encode(), digest_size=16).digest()].append(index)
    return [groups[digest] for digest in sorted(groups)]


def _choose(groups: Mapping[str, list[list[int]]], share: float) -> list[int]:
    """The first groups of each stratum, up to its quota of texts."""
    sizes = {stratum: sum(map(len, its_groups)) for stratum, its_groups in groups.items()}
    quotas = _quotas(sizes, share)
    chosen: list[int] = []
    for stratum, its_groups in groups.items():
        room = quotas[stratum]
        for group in its_groups[:-1]:
            if len(group) <= room:
                chosen += group
                room -= len(group)
    return chosen


def _quotas(sizes: Mapping[str, int], share: float) -> dict[str, int]:
    """The fraction of each size in whole numbers that sum to that of the total (largest remainders)."""
    exact = {stratum: share * size for stratum, size in sizes.items()}
    quotas = {stratum: int(quota) for stratum, quota in exact.items()}
    num_left = round(share * sum(sizes.values())) - sum(quotas.values())
    by_remainder = sorted(sizes, key=lambda stratum: (quotas[stratum] - exact[stratum], stratum))
    for stratum in by_remainder[: max(num_left, 0)]:
        quotas[stratum] += 1
    return quotas


def _refuse_none(examples: Iterable[Text], split: Split) -> Iterator[Text]:
    is_empty = True
    for example in examples:
        is_empty = False
        yield example
    if is_empty:
        raise InputError(f"data.{split}: there is no text in it")
