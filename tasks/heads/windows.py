"""From the windows of long texts to one vector for each text.

Shape legend: N texts, B windows of all of them, S size of a window's vector.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tasks.heads.attention import masked_softmax


class WindowAttention(nn.Module):
    """A mean of a text's windows with the weights softmax(query . window); the query is learned.

    It begins at zero, as the plain mean. A text's only window has the weight 1, and stays as it is.

    Args:
        size: S.
    """

    def __init__(self, *, size: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(size))

    def forward(self, vectors_BS: Tensor, text_of_window_B: Tensor, num_texts: int) -> Tensor:
        """(N, S); every text in 0..N-1 needs one window at least, in any order."""
        text_N1 = torch.arange(num_texts, device=text_of_window_B.device)[:, None]
        scores_B = (vectors_BS * self.query).sum(dim=1)  # autocast leaves it in the precision of the query
        weights_NB = masked_softmax(scores_B.expand(num_texts, -1), text_of_window_B == text_N1)
        return weights_NB.to(vectors_BS.dtype) @ vectors_BS
