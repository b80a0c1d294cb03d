"""What every head for the classification of texts can do.

Shape legend: B windows of texts, T words of the longest one, P and E sizes of the vectors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from elmo.errors import InputError


class TextHead(nn.Module, ABC):
    """One vector for a window of words; what a text's windows have in common is not its concern.

    Every head takes `input_size` (P) and `injected_size` (E, 0 for none) from code.

    Attributes:
        output_size: of the vector.
        max_words: words that a window may have; None for no limit.
    """

    output_size: int
    max_words: int | None = None

    @abstractmethod
    def forward(self, vectors_BTP: Tensor, mask_BT: Tensor, injected_BTE: Tensor | None) -> Tensor:
        """(B, output_size).

        Args:
            vectors_BTP: zero where the mask is false.
            mask_BT: bool, true for words; every window has one at least.
            injected_BTE: vectors that join the output of the head's recurrent layer (Peters et al. 2018,
                section 3.3); None unless `injected_size` is above 0.
        """


def refuse_injection(head: str, injected_size: int) -> None:
    """InputError if vectors are to join the output of a recurrent layer that the head does not have."""
    if injected_size:
        raise InputError(
            f"head.type: {head} has no recurrent layer whose output vectors could join;"
            " inject them at the input, or choose bilstm or bcn"
        )
