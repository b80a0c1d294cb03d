"""The score of "no answer" for a passage (Clark and Gardner 2018, section 3.3).

Shape legend: B pairs of passage and question, T words of the longest passage, P size of a vector.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tasks.heads.pooling import masked_softmax, weighted_sum

_HIDDEN_SIZE = 80  # the paper's


class NoAnswerScore(nn.Module):
    """Two linear layers above the attended start and end vectors and a vector of the whole pair.

    Args:
        start_size, end_size: sizes of the vectors from which the start and the end are scored.
        pair_size: size of the pair's vector.
    """

    def __init__(self, *, start_size: int, end_size: int, pair_size: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(start_size + end_size + pair_size, _HIDDEN_SIZE)
        self.score = nn.Linear(_HIDDEN_SIZE, 1)

    def forward(
        self,
        *,
        start: tuple[Tensor, Tensor],
        end: tuple[Tensor, Tensor],
        pair_BP: Tensor,
        mask_BT: Tensor,
    ) -> Tensor:
        """(B,) scores; `start` and `end` are (B, T) scores and the (B, T, P) vectors below them."""
        attended = [
            weighted_sum(masked_softmax(scores_BT, mask_BT), vectors_BTP)
            for scores_BT, vectors_BTP in (start, end)
        ]
        return self.score(torch.relu(self.hidden(torch.cat([*attended, pair_BP], dim=1)))).squeeze(1)
