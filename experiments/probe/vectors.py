"""The stored vectors of a frozen biLM, memory-mapped: computed once for each model and text.

Shape legend: N words, L layers, P size of a vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from elmo.errors import InputError
from elmo.io.loading import fingerprint, load_bilm, load_bilm_node
from elmo.io.official_options import read_options
from experiments.logging.progress import make_progress
from experiments.probe.kinds.probe import Sentences
from tasks.encoders.elmo import ElmoEncoder
from tasks.supervised.feature_store import FeatureCache


class EmbeddedText(NamedTuple):
    """What a model makes of sentences.

    Attributes:
        fingerprint: of the model.
        vectors: (N, L, P) of the words of each part of the sentences, memory-mapped.
    """

    fingerprint: str
    vectors: dict[str, np.ndarray]


def check_model(model: str, weights: str | None) -> None:
    """Check that there is such a model, without reading its weights; InputError if not."""
    if weights is None:
        load_bilm_node(model)
    else:
        read_options(Path(model))


def embed(
    model: str,
    weights: str | None,
    sentences: Mapping[str, Sentences],
    *,
    cache_path: Path,
    max_gigabytes: float,
    dtype: str,
    device: torch.device,
    progress: str,
) -> EmbeddedText:
    """The vectors of all words of the sentences.

    Args:
        model, weights: see `load_bilm`.
        sentences: of each part of the data.
        cache_path: the directory of all stored vectors, which other commands use, too.
        max_gigabytes: limit of that directory.
        dtype: of the stored vectors.
        device: that computes them.
        progress: the kind of the display.

    Raises:
        InputError: the model is missing or damaged, or there is no room for the vectors.
    """
    bilm = load_bilm(model, weights).bilm.requires_grad_(False).to(device)
    encoder = ElmoEncoder.of(bilm)
    vectors = {}
    for part, members in sentences.items():
        title = f"{Path(model).name}: embedding {part}"
        with make_progress(progress, title=title, unit="words", transient=True) as display:
            cache = FeatureCache(
                path=cache_path,
                max_gigabytes=max_gigabytes,
                dtype=dtype,
                report=lambda words, _, fraction, display=display: display.update(  # type: ignore[misc]
                    fraction=fraction or 0.0, tokens=words
                ),
                notice=lambda line: None,
            )
            store = cache.store(encoder, [[list(sentence)] for sentence in members])
        if store is None:
            raise InputError(
                f"max_gigabytes: {max_gigabytes:g} is too little for the vectors of {part}; give more, or a"
                " smaller part of the data"
            )
        vectors[part] = store.vectors_NLP
    return EmbeddedText(fingerprint(bilm), vectors)
