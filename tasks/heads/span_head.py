"""The interface of a head for question answering.

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
        injected: (B, T, E) vectors that are concatenated to a recurrent layer's output, or None.
    """

    vectors: Tensor
    mask: Tensor
    injected: Tensor | None


class SpanScores(NamedTuple):
    """Unnormalised log-probabilities.

    Attributes:
        start: (B, T), each passage word as the answer's first word; -inf in the padding.
        end: (B, T), as its last word; -inf in the padding.
        no_answer: (B,), no answer; on the scale of the sum of a start and an end score.
    """

    start: Tensor
    end: Tensor
    no_answer: Tensor


class SpanHead(nn.Module, ABC):
    """Scores where in a passage the answer to a question starts and ends.

    The program, not the config, passes `input_size` (P) and `injected_size` (E, or 0).
    """

    @abstractmethod
    def forward(self, passage: Words, question: Words) -> SpanScores:
        """The scores of every word of the passages."""
