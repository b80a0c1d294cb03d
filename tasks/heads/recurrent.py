"""Bidirectional recurrent layers over padded words, independent of the padding and fast on a CPU.

Shape legend: B texts, T words of the longest one, P size of a vector, H hidden size of one direction, D = 2
directions, G size of all gates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasks.heads.attention import variational_dropout

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
        recurrent_dropout: on the output of the word before where the next word reads it, with one mask for
            all words of a text and direction (Gal and Ghahramani 2016), during training.
    """

    def __init__(
        self, *, cell: Cell, input_size: int, hidden_size: int, recurrent_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.recurrent_dropout = recurrent_dropout
        self.onward = _LAYERS[cell](input_size, hidden_size, batch_first=True)
        self.backward_ = _LAYERS[cell](input_size, hidden_size, batch_first=True)
        self.output_size = 2 * hidden_size

    def forward(self, vectors_BTP: Tensor, mask_BT: Tensor) -> Tensor:
        """(B, T, P) -> (B, T, 2 H), zero where the mask is false; padding must follow the words."""
        rows_BT = _reversal(mask_BT)
        reversed_BTP = _reorder(vectors_BTP, rows_BT)
        if self.training and self.recurrent_dropout:
            mask_DBH = vectors_BTP.new_ones(2, len(vectors_BTP), self.output_size // 2)
            onward, backward = masked_recurrence(
                [self.onward, self.backward_],
                torch.stack([vectors_BTP, reversed_BTP]),
                F.dropout(mask_DBH, self.recurrent_dropout),
            )
        else:
            onward, _ = self.onward(vectors_BTP)
            backward, _ = self.backward_(reversed_BTP)
        return torch.cat([onward, _reorder(backward, rows_BT)], dim=2).masked_fill(~mask_BT[..., None], 0.0)


class RecurrentLayers(nn.ModuleList):
    """Bidirectional LSTM layers above each other, with dropout.

    Args:
        input_size: of the vectors.
        hidden_size: number of cells per direction.
        num_layers: number of layers.
        dropout: between layers, during training.
        variational: the dropout of Gal and Ghahramani (2016) instead: one mask for all words of a text, on
            the inputs of each layer and on its recurrent connections.
    """

    def __init__(
        self, *, input_size: int, hidden_size: int, num_layers: int, dropout: float, variational: bool
    ) -> None:
        sizes = [input_size] + [2 * hidden_size] * (num_layers - 1)
        super().__init__(
            RecurrentLayer(
                cell="lstm",
                input_size=size,
                hidden_size=hidden_size,
                recurrent_dropout=dropout if variational else 0.0,
            )
            for size in sizes
        )
        self.dropout, self.variational = dropout, variational
        self.output_size = 2 * hidden_size

    def forward(self, vectors_BTP: Tensor, mask_BT: Tensor) -> Tensor:
        """(B, T, P) -> (B, T, 2 H), zero where the mask is false; padding must follow the words."""
        for number, layer in enumerate(self):
            if self.variational:
                vectors_BTP = variational_dropout(vectors_BTP, self.dropout, self.training)
            elif number:
                vectors_BTP = F.dropout(vectors_BTP, self.dropout, self.training)
            vectors_BTP = layer(vectors_BTP, mask_BT)
        return vectors_BTP


def masked_recurrence(layers: Sequence[nn.RNNBase], vectors_DBTP: Tensor, mask_DBH: Tensor) -> Tensor:
    """(D, B, T, H) what D layers of one direction, all LSTMs or all GRUs, make of their own vectors, if a
    mask is on their state in its products with the recurrent weights.

    PyTorch's own layers, which this equals with a mask of ones, have no place for it. All steps of a word are
    done for all layers at once; on a CPU that takes as long as PyTorch's own.
    """

    def stacked(name: str) -> Tensor:
        return torch.stack([getattr(layer, name) for layer in layers])

    D, B, T, _ = vectors_DBTP.shape
    kernel_DPG = stacked("weight_ih_l0").transpose(1, 2)
    given_DNG = torch.baddbmm(stacked("bias_ih_l0")[:, None], vectors_DBTP.flatten(1, 2), kernel_DPG)
    recurrent_DHG, bias_D1G = stacked("weight_hh_l0").transpose(1, 2), stacked("bias_hh_l0")[:, None]
    step = _lstm_step if isinstance(layers[0], nn.LSTM) else _gru_step
    h_DBH = c_DBH = vectors_DBTP.new_zeros(mask_DBH.shape)
    outputs = []
    for given_DBG in given_DNG.view(D, B, T, -1).unbind(2):
        fed_back_DBG = torch.baddbmm(bias_D1G, h_DBH * mask_DBH, recurrent_DHG)
        h_DBH, c_DBH = step(given_DBG, fed_back_DBG, h_DBH, c_DBH)
        outputs.append(h_DBH)
    return torch.stack(outputs, dim=2)


def _lstm_step(given: Tensor, fed_back: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    i, f, j, o = (given + fed_back).chunk(4, dim=-1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(j)
    return torch.sigmoid(o) * torch.tanh(c), c


def _gru_step(given: Tensor, fed_back: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """As PyTorch defines the GRU; it has no cells, `c` stays what it is."""
    hidden_size = h.shape[-1]
    r, z = torch.sigmoid(given[..., :-hidden_size] + fed_back[..., :-hidden_size]).chunk(2, dim=-1)
    new = torch.tanh(given[..., -hidden_size:] + r * fed_back[..., -hidden_size:])
    return new + z * (h - new), c


def _reversal(mask_BT: Tensor) -> Tensor:
    """(B, T) indices into the B * T rows that reverse the words of each text, but not its padding."""
    B, T = mask_BT.shape
    place_T = torch.arange(T, device=mask_BT.device)
    reversed_BT = mask_BT.sum(dim=1, keepdim=True) - 1 - place_T
    first_B1 = T * torch.arange(B, device=mask_BT.device)[:, None]
    return first_B1 + torch.where(mask_BT, reversed_BT, place_T)


def _reorder(values_BTP: Tensor, rows_BT: Tensor) -> Tensor:
    return values_BTP.flatten(0, 1).index_select(0, rows_BT.flatten()).view(values_BTP.shape)
