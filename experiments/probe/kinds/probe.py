"""The interface of a probe: what it reads, what it asks of each layer, and the scores that come out.

Shape legend: R repetitions (seeds of a classifier), U units of the test text (sentences, documents),
N words, L layers with the context-free one as layer 0, P size of a vector.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch

Sentences: TypeAlias = list[tuple[str, ...]]
Report: TypeAlias = Callable[[float], None]  # the fraction done


@dataclass(frozen=True, eq=False)
class Score:
    """A share of words, in percent, to which the units of the test text add.

    Attributes:
        hits_RU: what each unit adds to the numerator, in each repetition.
        totals_U: what each unit adds to the denominator: a number of words, above 0 in sum.
    """

    hits_RU: np.ndarray
    totals_U: np.ndarray

    @property
    def value(self) -> float:
        """The mean over the repetitions."""
        return float(self.repetitions.mean())

    @property
    def repetitions(self) -> np.ndarray:
        """(R,) the score of each repetition."""
        scores_R: np.ndarray = 100 * self.hits_RU.sum(axis=1) / self.totals_U.sum()
        return scores_R


@dataclass(frozen=True, eq=False)
class View:
    """The scores of what a classifier was given: a layer, several of them, or no vector at all.

    Attributes:
        name: such as `layer 1`, `mix` or the name of a baseline.
        layer: the number of the layer; None: it is not a single one.
        is_baseline: whether it has no vector.
        scores: by name; a baseline may lack some.
        facts: further figures, such as the weights of a mix.
    """

    name: str
    layer: int | None
    scores: Mapping[str, Score]
    facts: Mapping[str, Any] = field(default_factory=dict)
    is_baseline: bool = False


class Material(ABC):
    """What a probe has read: sentences to embed, and the answers that their vectors are to give.

    Attributes:
        sentences: of each part of the data, whose vectors `measure` gets.
        unit: what the units of all scores are, in the plural.
        facts: counts of the data, for the user and the record.
        compared: the names of the scores whose differences between views are tested.
        pictured: the names of the scores that the picture shows.
    """

    sentences: Mapping[str, Sentences]
    unit: str
    facts: Mapping[str, int | float]
    compared: Sequence[str]
    pictured: Sequence[str]

    @abstractmethod
    def baseline(self) -> View:
        """The scores without any vector."""

    @abstractmethod
    def measure(
        self, vectors: Mapping[str, np.ndarray], *, device: torch.device, report: Report
    ) -> list[View]:
        """The scores of every layer, from below, then of what is made of several layers.

        Args:
            vectors: (N, L, P) of the words of each part of `sentences`, one sentence after another; they may
                be memory-mapped and are read piece by piece.
            device: for the work of classifiers.
            report: called with the progress.
        """


class Probe(ABC):
    """A registered probe (kind `probe`)."""

    @abstractmethod
    def check(self, source: Any) -> None:
        """Quick check, without reading the data; InputError if it is of another kind or missing."""

    @abstractmethod
    def describe(self, source: Any, *, seed: int) -> dict[str, Any]:
        """For each part of the data all that determines it, for `tasks.sources.shared.fingerprint`."""

    @abstractmethod
    def read(self, source: Any, *, seed: int) -> Material:
        """Read the data; InputError at a fault of it, or if it is too small for the probe."""


def layer_name(layer: int) -> str:
    """The name of a single layer's view."""
    return f"layer {layer}"
