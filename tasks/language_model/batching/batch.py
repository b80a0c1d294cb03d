"""One batch of a language model: packed tokens in both reading directions, and the words to predict."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from elmo.text.characters import BEGIN_TYPE, END_TYPE, TypeTable


class Sentences(Protocol):
    """What batching needs of a corpus."""

    types: TypeTable
    num_sentences: int
    num_tokens: int

    def read_sentences(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Type ids of some sentences, joined, and the (stop - start + 1,) offsets in them, from 0."""
        ...


@dataclass(frozen=True)
class Batch:
    """Packed sequences (see `elmo.bilm.lstm`); direction 0 reads forward, direction 1 backward.

    Shape legend: U distinct types of the batch, C characters, D = 2 directions, N packed tokens.
    """

    characters_UC: Tensor  # int64
    inputs_DN: Tensor  # int64, rows of characters_UC
    targets_DN: Tensor  # int64, vocabulary ids of the words to predict
    batch_sizes: list[int]
    carried: bool  # whether the rows go on where those of the batch before ended

    @property
    def num_tokens(self) -> int:
        """Tokens that are read, and predicted, in each direction."""
        return self.inputs_DN.shape[1]

    @property
    def num_units(self) -> int:
        """What the trainer counts: tokens."""
        return self.num_tokens

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        return replace(
            self,
            characters_UC=self.characters_UC.to(device, non_blocking=True),
            inputs_DN=self.inputs_DN.to(device, non_blocking=True),
            targets_DN=self.targets_DN.to(device, non_blocking=True),
        )


class BatchBuilder:
    """Turns type ids into the tensors of a batch.

    Args:
        types: the corpus's table of types.
        target_ids: (V,) vocabulary id of each type.
        widest_filter: characters that the encoder's widest convolution spans.
    """

    def __init__(self, *, types: TypeTable, target_ids: np.ndarray, widest_filter: int) -> None:
        self.types = types
        self.target_ids = target_ids
        self.widest_filter = widest_filter

    def build(
        self, inputs_DN: np.ndarray, targets_DN: np.ndarray, batch_sizes: list[int], *, carried: bool
    ) -> Batch:
        """A batch of packed type ids of inputs and targets; distinct types get their characters once."""
        distinct, local = np.unique(inputs_DN, return_inverse=True)
        return Batch(
            characters_UC=torch.from_numpy(self.types.characters(distinct, widest_filter=self.widest_filter)),
            inputs_DN=torch.from_numpy(local.reshape(inputs_DN.shape)),
            targets_DN=torch.from_numpy(self.target_ids[targets_DN].astype(np.int64)),
            batch_sizes=batch_sizes,
            carried=carried,
        )


def with_markers(sentence: np.ndarray) -> np.ndarray:
    """`<S>` words `</S>`; read backward, the same array reversed begins with `</S>`."""
    return np.concatenate(([BEGIN_TYPE], sentence, [END_TYPE]))
