"""The interface of a head for text classification.

Shape legend: B windows of texts, T words of the longest one, P and E sizes of the vectors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from elmo.errors import InputError


class TextHead(nn.Module, ABC):
    """Computes one vector for each window of words; the classifier combines the windows of a text.

    The program, not the config, passes `input_size` (P) and `injected_size` (E, or 0).

    Attributes:
        output_size: size of the vector.
        max_words: largest number of words in a window; None: no limit.
    """

    output_size: int
    max_words: int | None = None

    @abstractmethod
    def forward(self, vectors_BTP: Tensor, mask_BT: Tensor, injected_BTE: Tensor | None) -> Tensor:
        """(B, output_size).

        Args:
            vectors_BTP: zero where the mask is false.
            mask_BT: bool, true for words; every window has at least one.
            injected_BTE: vectors that are concatenated to the output of the head's recurrent layer (Peters et
                al. 2018, section 3.3); None if `injected_size` is 0.
        """


def refuse_injection(head: str, injected_size: int, *, others: str = "head=bilstm or head=bcn") -> None:
    """InputError if `injected_size` is not 0, for heads without a recurrent layer; `others` have one."""
    if injected_size:
        raise InputError(
            f"head.type: {head} has no recurrent layer after which vectors could be injected;"
            f" use task.injection=input, or {others}"
        )
