"""The typed root of conf/neighbours.yaml."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any

from omegaconf import MISSING

from elmo.values import Length, Pattern, Range, Seed, Size
from experiments.config.choices import Precision, VectorType
from experiments.config.sections import InferenceConfig


class Index(Enum):
    auto = "auto"
    exact = "exact"
    faiss = "faiss"


class Map(Enum):
    auto = "auto"
    tsne = "tsne"
    none = "none"


@dataclass
class NeighboursConfig(InferenceConfig):
    """Root of conf/neighbours.yaml; without `query`, occurrences in the text are the queries."""

    model: str = MISSING
    weights: str | None = None
    text: str | None = None
    data: dict[str, Any] | None = None
    word: Annotated[str, Pattern(r"\S.{0,999}", "a word")] = MISSING
    query: Annotated[list[str], Length(1, 1000)] | None = None
    num_queries: Annotated[int, Range(1, 1000)] = 3
    num_neighbours: Annotated[int, Range(1, 100_000)] = 10
    same_word: bool = False
    own_sentence: bool = False
    repeated_sentences: bool = False
    lowercase: bool = False
    layer: str = "top"
    index: Index = Index.auto
    word_vectors: str = "auto"
    map: Map = Map.auto
    map_points: Annotated[int, Range(10, 10_000)] = 1000
    seed: Seed = 1
    output: str | None = None
    tokenizer: dict[str, Any] = MISSING
    prose: bool = False
    language: str = "en"
    dtype: VectorType = VectorType.float16
    precision: Precision = Precision.fp32
    tokens_per_batch: Size = 4096
    cache_dir: str = MISSING
    field: str | None = None

    def disagreements(self) -> Iterator[str]:
        yield from super().disagreements()
        if not re.fullmatch(r"top|average|\d{1,3}", self.layer):
            yield f"layer: expected top, average or a layer's number from 0, got {self.layer!r}"
        if (self.text is None) == (self.data is None):
            yield "text: give a file of sentences, text=FILE, or data with senses, data=semcor"
        if self.text == "-":
            yield "text: standard input cannot be read again for the next query; give a file"
        if self.map is Map.tsne and self.output is None:
            yield "map: its files lie in the output's directory; give output=DIR"
