"""Batches of few different shapes, for devices that work best if shapes return.

Shape legend: U distinct types of a batch, C characters.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from elmo.bilm.products import rounded
from elmo.text.characters import MAX_CHARACTERS, PAD

CHARACTERS = 16  # the number of characters is a multiple of it, up to the limit of all words


def padded(batch: Any) -> Any:
    """The `Batch` with more types, which no token has, and wider words of padding: its loss is the same."""
    return replace(batch, types_U=_padded(batch.types_U))


def _padded(types_U: Tensor) -> Tensor:
    """(U, C) character ids or (U,) rows of a table, both extended; type 0 stands for the new types."""
    if types_U.dim() == 2:
        width = min(MAX_CHARACTERS, -(-types_U.shape[1] // CHARACTERS) * CHARACTERS)
        types_U = F.pad(types_U, (0, width - types_U.shape[1]), value=PAD)
    missing = rounded(len(types_U)) - len(types_U)
    return types_U[[*range(len(types_U)), *[0] * missing]]
