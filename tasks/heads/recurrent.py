"""A bidirectional recurrent layer over padded words, independent of the padding and fast on a CPU.

Shape legend: B texts, T words of the longest one, P size of a vector, H hidden size of one direction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

Cell = Literal["lstm", "gru"]
_LAYERS: dict[str, Callable[..., nn.RNNBase]] = {"lstm": nn.LSTM, "gru": nn.GRU}


class RecurrentLayer(nn.Module):
    """A bidirectional LSTM (Hochreiter and Schmidhuber 1997) or GRU (Cho et al. 2014) layer.

    Each direction is a module of its own, and the second one reads the words of every text in reverse, with
    the padding still at the end. Both directions therefore read the padding last, where it cannot change a
    word's output, without packed sequences: on a CPU, PyTorch trains an LSTM six times faster padded than
    packed.

    Args:
        cell: `lstm` or `gru`.
        input_size: P.
        hidden_size: H.
    """

    def __init__(self, *, cell: Cell, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.onward = _LAYERS[cell](input_size, hidden_size, batch_first=True)
        self.backward_ = _LAYERS[cell](input_size, hidden_size, batch_first=True)
        self.output_size = 2 * hidden_size

    def forward(self, vectors_BTP: Tensor, mask_BT: Tensor) -> Tensor:
        """(B, T, P) -> (B, T, 2 H), zero where the mask is false; padding must follow the words."""
        rows_BT = _reversal(mask_BT)
        onward, _ = self.onward(vectors_BTP)
        backward, _ = self.backward_(_reorder(vectors_BTP, rows_BT))
        return torch.cat([onward, _reorder(backward, rows_BT)], dim=2).masked_fill(~mask_BT[..., None], 0.0)


def _reversal(mask_BT: Tensor) -> Tensor:
    """(B, T) indices into the B * T rows that reverse the words of each text, but not its padding."""
    B, T = mask_BT.shape
    place_T = torch.arange(T, device=mask_BT.device)
    reversed_BT = mask_BT.sum(dim=1, keepdim=True) - 1 - place_T
    first_B1 = T * torch.arange(B, device=mask_BT.device)[:, None]
    return first_B1 + torch.where(mask_BT, reversed_BT, place_T)


def _reorder(values_BTP: Tensor, rows_BT: Tensor) -> Tensor:
    return values_BTP.flatten(0, 1).index_select(0, rows_BT.flatten()).view(values_BTP.shape)
