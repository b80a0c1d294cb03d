"""The interface of a head for pairs of sentences, and what heads share.

Shape legend: B pairs, T words of the longest side, P and E sizes of the vectors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasks.heads.span_head import Words


class PairHead(nn.Module, ABC):
    """Computes one vector for each pair of sentences.

    The program, not the config, passes `input_size` (P) and `injected_size` (E, or 0).

    Attributes:
        output_size: size of the vector.
    """

    output_size: int

    @abstractmethod
    def forward(self, first: Words, second: Words) -> Tensor:
        """(B, output_size); every side has at least one word.

        Args:
            first, second: the words of the sides; their injected vectors are concatenated to the output of
                the head's first recurrent layer (Peters et al. 2018, section 3.3).
        """


def stacked(first: Words, second: Words) -> Words:
    """Both sides as the rows of one batch, all first sides before all second ones.

    A layer that both sides share then takes its steps once, which on a CPU is nearly twice as fast.
    """
    T = max(first.mask.shape[1], second.mask.shape[1])
    vectors = torch.cat([_padded(first.vectors, T), _padded(second.vectors, T)])
    mask_BT = torch.cat([F.pad(side.mask, (0, T - side.mask.shape[1])) for side in (first, second)])
    if first.injected is None or second.injected is None:
        return Words(vectors, mask_BT, None)
    return Words(vectors, mask_BT, torch.cat([_padded(first.injected, T), _padded(second.injected, T)]))


def _padded(vectors_BTP: Tensor, num_words: int) -> Tensor:
    return F.pad(vectors_BTP, (0, 0, 0, num_words - vectors_BTP.shape[1]))
