"""Parts that a labelled data set lacks are split off its training part: the same texts in every run."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elmo.errors import InputError
from tasks.sources.labelled.source import LabelledText, Part


@dataclass(frozen=True, kw_only=True)
class PartShares:
    """How large the parts are that are split off, and which texts they get.

    Args:
        test_share: of all texts, unless the test part is given.
        dev_share: of what is left then, unless the dev part is given.
        split_seed: another one chooses other texts.

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

    def origin(self, part: Part, given: Collection[Part]) -> Part:
        """The given part that a part is read from."""
        return part if part in given else "train"

    def describe(self, part: Part, given: Collection[Part]) -> dict[str, Any]:
        """All that decides which texts of its origin a part has, plain values for JSON."""
        if self._is_whole(part, given):
            return {"part": part}
        return {"part": part, "split_off": self._missing(given), "split_seed": self.split_seed}

    def take(
        self,
        part: Part,
        given: Collection[Part],
        read: Callable[[Part], Iterable[LabelledText]],
        strata_of: Callable[[Sequence[LabelledText]], list[str]] | None = None,
    ) -> Iterator[LabelledText]:
        """A part's texts in order; `read` yields all of a given part.

        The split keeps the shares of each stratum, which are those of `rarest_labels` unless told otherwise.

        Raises:
            InputError: there is no text, or a share of them is none.
        """
        if self._is_whole(part, given):
            yield from _refuse_none(read(part), part)
            return
        examples = list(_refuse_none(read("train"), "train"))
        strata = (strata_of or rarest_labels)(examples)
        texts = [example.text for example in examples]
        parts = split_parts(texts, strata, shares=self._missing(given), seed=self.split_seed)
        yield from (example for example, its_part in zip(examples, parts, strict=True) if its_part == part)

    def _is_whole(self, part: Part, given: Collection[Part]) -> bool:
        """Whether a part is given and nothing is split off it."""
        return part in given and not (part == "train" and self._missing(given))

    def _missing(self, given: Collection[Part]) -> dict[Part, float]:
        shares: dict[Part, float] = {"test": self.test_share, "dev": self.dev_share}
        return {part: share for part, share in shares.items() if part not in given}


def rarest_labels(examples: Sequence[LabelledText]) -> list[str]:
    """Of each text the label that the fewest texts have; "" without labels."""
    counts = Counter(label for example in examples for label in example.labels)
    return [min(example.labels, key=lambda label: (counts[label], label), default="") for example in examples]


def split_parts(
    texts: Sequence[str], strata: Sequence[str], *, shares: Mapping[Part, float], seed: int
) -> list[Part]:
    """The part of each text: the shares are taken one after the other of what is left, the rest is `train`.

    Which texts are taken depends on what they say and on the seed, not on their order, and copies of a text
    (blanks and case apart) come into the same part. A stratum keeps its share of each part as nearly as whole
    texts allow, and never loses its last text to another part than `train`.

    Args:
        strata: the stratum of each text; copies belong to that of the first one.

    Raises:
        InputError: a share is none of the texts.
    """
    parts: list[Part] = ["train"] * len(texts)
    groups = _groups_of_copies(texts, seed)
    for part, share in shares.items():
        left: dict[str, list[list[int]]] = defaultdict(list)
        for group in groups:
            if parts[group[0]] == "train":
                left[strata[group[0]]].append(group)
        chosen = _choose(left, share)
        if not chosen:
            raise InputError(
                f"data.{part}_share: {share} leaves nothing for {part} of {len(texts)} texts; "
                f"make it larger or give data.{part}"
            )
        for index in chosen:
            parts[index] = part
    return parts


def _groups_of_copies(texts: Sequence[str], seed: int) -> list[list[int]]:
    """Indices of texts that are copies of each other, in an order that depends on what they say."""
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
    """Each size's share in whole numbers that add up to the share of all (largest remainders)."""
    exact = {stratum: share * size for stratum, size in sizes.items()}
    quotas = {stratum: int(quota) for stratum, quota in exact.items()}
    num_left = round(share * sum(sizes.values())) - sum(quotas.values())
    by_remainder = sorted(sizes, key=lambda stratum: (quotas[stratum] - exact[stratum], stratum))
    for stratum in by_remainder[: max(num_left, 0)]:
        quotas[stratum] += 1
    return quotas


def _refuse_none(examples: Iterable[LabelledText], part: Part) -> Iterator[LabelledText]:
    is_empty = True
    for example in examples:
        is_empty = False
        yield example
    if is_empty:
        raise InputError(f"data.{part}: there is no text in it")
