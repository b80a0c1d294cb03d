"""What every head for question answering can do.

Shape legend: B pairs of passage and question, T words of the longest passage, Q of the longest question,
P and E sizes of the vectors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn


class Words(NamedTuple):
    """Padded vectors of words.

    Attributes:
        vectors: (B, T, P), zero where the mask is false.
        mask: (B, T) bool, true for words.
        injected: (B, T, E) vectors that join the output of a recurrent layer, or None.
    """

    vectors: Tensor
    mask: Tensor
    injected: Tensor | None


class SpanScores(NamedTuple):
    """Unnormalised log-probabilities.

    Attributes:
        start: (B, T) of each passage word as the answer's first; -inf at padding.
        end: (B, T) as its last.
        no_answer: (B,) of there being no answer, weighed against the sum of a start and an end.
    """

    start: Tensor
    end: Tensor
    no_answer: Tensor


class SpanHead(nn.Module, ABC):
    """Where in a passage the answer to a question begins and ends.

    Every head takes `input_size` (P) and `injected_size` (E, 0 for none) from code.
    """

    @abstractmethod
    def forward(self, passage: Words, question: Words) -> SpanScores:
        """The scores of every word of the passages."""
