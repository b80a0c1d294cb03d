"""A head for text classification: the first and the last word of a window.

Shape legend: B windows, T words of the longest one, P size of a vector.
"""

from __future__ import annotations

import torch
from torch import Tensor

from elmo.registry import REGISTRY
from tasks.heads.text_head import TextHead, refuse_injection


@REGISTRY.register("head", "ends")
class EndsHead(TextHead):
    """Concatenates the vectors of the first and the last word.

    Args:
        input_size, injected_size: given by the program: P, and 0 without vectors to inject.
    """

    def __init__(self, *, input_size: int, injected_size: int) -> None:
        super().__init__()
        refuse_injection("ends", injected_size)
        self.output_size = 2 * input_size

    def forward(self, vectors_BTP: Tensor, mask_BT: Tensor, injected_BTE: Tensor | None) -> Tensor:
        """(B, 2 P)."""
        windows_B = torch.arange(len(mask_BT), device=mask_BT.device)
        last_B = mask_BT.sum(dim=1) - 1
        return torch.cat([vectors_BTP[:, 0], vectors_BTP[windows_B, last_B]], dim=1)
