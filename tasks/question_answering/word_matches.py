"""Features of the words that two texts share: exact, in lower case, and by stem.

Shape legend: B pairs of texts, T words of the longest first one, F features.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from tasks.supervised.representation import Window

NUM_FEATURES = 3  # F

_ENDING = re.compile(r"(?<=\w{3})(?:ies|ing|ed|es|ly|e|s|y)$")


def match_features(texts: Sequence[Window], others: Sequence[Window]) -> Tensor:
    """(B, T, F) float32: 1 for each form of a word that also occurs in the other text; 0 in the padding.

    The forms are the word, its lower case, and its stem without an English ending (Chen et al. 2017, section
    3.2, use lemmas).
    """
    rows = [
        _matches(list(_words(text)), list(_words(other))) for text, other in zip(texts, others, strict=True)
    ]
    padded_BTF = np.zeros((len(rows), max(map(len, rows), default=0), NUM_FEATURES), dtype=np.float32)
    for padded_TF, row in zip(padded_BTF, rows, strict=True):
        padded_TF[: len(row)] = row
    return torch.from_numpy(padded_BTF)


@lru_cache(maxsize=1 << 17)
def forms(word: str) -> tuple[str, str, str]:
    """The word, its lower case, and its stem."""
    lower = word.lower()
    return word, lower, _ENDING.sub("", lower)


def _matches(words: list[str], others: list[str]) -> np.ndarray:
    known = [set(column) for column in zip(*map(forms, others), strict=True)]
    found = [[form in column for form, column in zip(forms(word), known, strict=True)] for word in words]
    return np.array(found, dtype=np.float32).reshape(len(words), NUM_FEATURES)


def _words(text: Window) -> Iterator[str]:
    return (word for sentence in text for word in sentence)
