"""The interface of a head for tagging.

Shape legend: B sentences, T words of the longest one, P and E sizes of the vectors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class TagHead(nn.Module, ABC):
    """Computes a vector for each word, from which the tagger scores its labels.

    The program, not the config, passes `input_size` (P) and `injected_size` (E, or 0).

    Attributes:
        output_size: size of the vector.
        crf: whether the tagger learns scores of neighbouring labels; otherwise each label by itself.
    """

    output_size: int
    crf: bool

    @abstractmethod
    def forward(self, vectors_BTP: Tensor, mask_BT: Tensor, injected_BTE: Tensor | None) -> Tensor:
        """(B, T, output_size); values where the mask is false are ignored.

        Args:
            vectors_BTP: zero where the mask is false.
            mask_BT: bool, true for words; every sentence has at least one.
            injected_BTE: vectors that are concatenated to the output of the head's recurrent layers (Peters
                et al. 2018, section 3.3); None if `injected_size` is 0.
        """
