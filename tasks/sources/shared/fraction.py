"""Cuts a training split to a fraction of it, in nested subsets by seed: for curves of score against data."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, TypeVar

from elmo.errors import InputError
from elmo.values import Share
from tasks.sources.shared.split import Split

Fraction = Share
Example = TypeVar("Example")


class Cuttable:
    """A source of which a run may read only a fraction of the training split; dev and test stay whole.

    Attributes:
        fraction: of the training split, above 0 and at most 1.
    """

    fraction: float = 1.0

    def is_cut(self, split: Split) -> bool:
        """Whether a run reads only a part of a split."""
        return split == "train" and self.fraction < 1

    def describe_cut(self, split: Split, *, seed: int) -> dict[str, Any]:
        """What decides, besides the description of the split, which part of it a run of this seed reads."""
        return {"fraction": self.fraction, "fraction_seed": seed} if self.is_cut(split) else {}

    def cut_facts(self) -> dict[str, float]:
        """The fraction as a fact for the user, in percent; {} without one."""
        return {"train fraction": 100 * self.fraction} if self.fraction < 1 else {}


def take_fraction(
    examples: Sequence[Example],
    *,
    fraction: float,
    seed: int,
    contents: Sequence[str],
    strata: Sequence[str],
) -> list[Example]:
    """A fraction of some examples, in their order; for the same seed a smaller one is a part of a larger one.

    The choice depends on the seed and the examples' content, not on their order. Each stratum keeps its
    proportion as nearly as whole examples allow, but at least one example; if there are fewer examples to
    take than strata, the largest strata have one each.

    Args:
        examples: all of them.
        fraction: the share to take, rounded to whole examples.
        seed: of the choice.
        contents: the text of each example.
        strata: the stratum of each example, such as its label.

    Raises:
        InputError: the fraction is less than half an example.
    """
    number = round(fraction * len(examples))
    if not number:
        raise InputError(
            f"data.fraction: {fraction:g} leaves nothing of {len(examples):,} training examples; give at"
            f" least {1 / len(examples):.2g}"
        )
    chosen = sorted(_nested_order(contents, strata, seed)[:number])
    return [examples[index] for index in chosen]


def draw(seed: int, *content: object) -> int:
    """A number below 2^64 that depends on the seed and the content alone, as if it was drawn at random."""
    text = " ".join(map(str, (seed, *content)))
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big")


def _nested_order(contents: Sequence[str], strata: Sequence[str], seed: int) -> list[int]:
    """The indices of examples in an order whose every beginning is a stratified subset.

    Example i of the n in a stratum, from 0, comes at (i + 1/2) / n of the order, so that a beginning t of it
    has round(t n) of them; the first examples of all strata come before all others.
    """
    members: dict[str, list[tuple[int, int]]] = defaultdict(list)
    copies: Counter[str] = Counter()
    for index, (content, stratum) in enumerate(zip(contents, strata, strict=True)):
        copies[content] += 1
        members[stratum].append((draw(seed, copies[content], content), index))
    places: list[tuple[float, int, str, int]] = []
    for stratum, drawn in members.items():
        for i, (_, index) in enumerate(sorted(drawn)):
            place = (i + 0.5) / len(drawn) if i else 0.0
            places.append((place, -len(drawn), stratum, index))
    return [place[-1] for place in sorted(places)]
