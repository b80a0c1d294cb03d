"""The LSTM layers of ELMo: projected, clipped, explicit state, both directions at once, no work on padding.

Sequences are packed (see `elmo.bilm.packing`): everything that does not depend on the previous step, such as
the products with the input and the weight gradients, is one matrix product over all steps.

Shape legend: D = 2 directions, N packed tokens, B rows, P projection (input and output) size, H cells,
L layers, the word vectors being layer 0, U distinct types.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elmo.bilm.bilm import ContextLayers, State
from elmo.bilm.dropout import dropout
from elmo.bilm.kernels.library import use_kernels
from elmo.bilm.kernels.lstm import PackedLstm
from elmo.bilm.recurrence import Steps, TorchPackedLstm

FORGET_BIAS = 1.0  # added to the forget gate when computing; official files do not contain it

LayerState = tuple[Tensor, Tensor]  # (h_DBP, c_DBH): the output before any skip connection, and the cells


class BiLstm(ContextLayers):
    """LSTM layers in both directions (Peters et al. 2018, section 3.1); their state is h and c of each layer.

    Args:
        cell_size: number of LSTM cells per direction and layer.
        projection_size: size of a word's vector and of an LSTM output in one direction.
        num_layers: number of LSTM layers.
        cell_clip, projection_clip: largest absolute value of LSTM cells and outputs; None: no limit.
        skip_connected: from the second LSTM layer on, the layer's input is added to its output.
        dropout: on each LSTM layer's input and on the top output, during training.
        variational: one mask for all tokens of a row, also on the recurrent connections (Gal and Ghahramani
            2016, section 4); otherwise each token has its own, and recurrent connections have none.
    """

    def __init__(
        self,
        *,
        cell_size: int,
        projection_size: int,
        num_layers: int,
        cell_clip: float | None,
        projection_clip: float | None,
        skip_connected: bool,
        dropout: float,
        variational: bool = False,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            LstmLayer(
                input_size=projection_size,
                cell_size=cell_size,
                projection_size=projection_size if projection_size != cell_size else None,
                cell_clip=cell_clip,
                projection_clip=projection_clip,
            )
            for _ in range(num_layers)
        )
        self.cell_size, self.projection_size = cell_size, projection_size
        self.skip_connected = skip_connected
        self.dropout, self.variational = dropout, variational

    def lstm_layers(self) -> list[LstmLayer]:
        """The layers, from the bottom up."""
        return [layer for layer in self.layers if isinstance(layer, LstmLayer)]

    def zero_state(self, num_rows: int) -> State:
        """For each layer, zeros of (2, rows, projection) and (2, rows, cells)."""
        return [part for layer in self.lstm_layers() for part in layer.zero_state(num_rows)]

    def forward(
        self, vectors_UP: Tensor, ids_DN: Tensor, batch_sizes: Sequence[int], state: State
    ) -> tuple[list[Tensor], State]:
        output = F.embedding(ids_DN, vectors_UP)
        outputs, last = [output], []
        for index, layer in enumerate(self.lstm_layers()):
            dropped = self._dropout(output, batch_sizes)
            h, c = state[2 * index], state[2 * index + 1]
            mask = self._dropout_mask(h) if self.variational and self.training and self.dropout else None
            output, (h, c) = layer(dropped, batch_sizes, (h, c), recurrent_mask=mask)
            if index > 0 and self.skip_connected:
                output = output + dropped
            outputs.append(output)
            last += [h, c]
        outputs[-1] = self._dropout(output, batch_sizes)
        return outputs, last

    def _dropout(self, values_DNP: Tensor, batch_sizes: Sequence[int]) -> Tensor:
        if not (self.variational and self.training and self.dropout):
            return dropout(values_DNP, self.dropout, self.training)
        mask_DBP = self._dropout_mask(values_DNP[:, : batch_sizes[0]])
        return values_DNP * torch.cat([mask_DBP[:, :size] for size in batch_sizes], dim=1)

    def _dropout_mask(self, values_DBP: Tensor) -> Tensor:
        return dropout(torch.ones_like(values_DBP), self.dropout, True)

    def flops_per_word(self) -> int:
        return 2 * sum(weight.numel() for layer in self.lstm_layers() for weight in layer.matrices())

    def recurrent_weights(self) -> int:
        """All weights but those of the layers' inputs, which can be read once for a whole sentence."""
        layers = self.lstm_layers()
        input_weights = sum(layer.kernel[:, : layer.input_size].numel() for layer in layers)
        return self.flops_per_word() // 2 - input_weights

    def activations_per_token(self) -> int:
        """What all layers keep, and what one layer's backward pass makes at a time, in both directions."""
        kept = 7 * self.cell_size + 5 * self.projection_size  # gates, three of cells; inputs, masks, outputs
        made = 4 * self.cell_size + 3 * self.projection_size  # gradients of the gates, inputs and outputs
        return 2 * (len(self.layers) * kept + made)

    def official_options(self) -> dict[str, Any]:
        layer = self.lstm_layers()[0]
        return {
            "lstm": {
                "use_skip_connections": self.skip_connected,
                "projection_dim": self.projection_size,
                "cell_clip": layer.cell_clip,
                "proj_clip": layer.projection_clip,
                "dim": self.cell_size,
                "n_layers": len(self.layers),
            }
        }

    def official_tensors(self) -> dict[str, Tensor]:
        tensors: dict[str, Tensor] = {}
        for index, layer in enumerate(self.lstm_layers()):
            for direction in range(2):
                cell = f"RNN_{direction}/RNN/MultiRNNCell/Cell{index}/LSTMCell"
                tensors[f"{cell}/W_0"] = layer.kernel[direction]
                tensors[f"{cell}/B"] = layer.bias[direction]
                if layer.projection is not None:
                    tensors[f"{cell}/W_P_0"] = layer.projection[direction]
        return tensors


class LstmLayer(nn.Module):
    """One projected LSTM layer (Sak et al. 2014) in both directions, each with its own weights.

    For each direction, with the gates in the order of the official weights::

        i, j, f, o = split([x, h] kernel + bias)
        c = clip(sigmoid(f + 1) c + sigmoid(i) tanh(j), cell_clip)
        h = clip((sigmoid(o) tanh(c)) projection, projection_clip)

    Args:
        input_size: size of x.
        cell_size: number of cells per direction.
        projection_size: size of h; None: no projection, h has `cell_size` values and is not clipped.
        cell_clip, projection_clip: limits of |c| and |h|; None: no limit.
    """

    def __init__(
        self,
        *,
        input_size: int,
        cell_size: int,
        projection_size: int | None,
        cell_clip: float | None,
        projection_clip: float | None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.cell_size = cell_size
        self.output_size = projection_size or cell_size
        self.cell_clip = cell_clip
        self.projection_clip = projection_clip if projection_size else None
        self.kernel = nn.Parameter(torch.empty(2, input_size + self.output_size, 4 * cell_size))
        self.bias = nn.Parameter(torch.empty(2, 4 * cell_size))
        self.projection = (
            nn.Parameter(torch.empty(2, cell_size, projection_size)) if projection_size else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise as the original does: Glorot-uniform on one direction's fused matrices, zero biases."""
        for weight in self.matrices():
            for direction in weight.detach():
                nn.init.xavier_uniform_(direction)
        nn.init.zeros_(self.bias)

    def matrices(self) -> list[Tensor]:
        """The weight matrices of both directions: the kernel and, if there is one, the projection."""
        return [self.kernel] if self.projection is None else [self.kernel, self.projection]

    def zero_state(self, num_rows: int) -> LayerState:
        """Zeros: h (2, rows, output_size) and c (2, rows, cell_size)."""
        zeros = self.bias.new_zeros
        return zeros(2, num_rows, self.output_size), zeros(2, num_rows, self.cell_size)

    def forward(
        self,
        x_DNP: Tensor,
        batch_sizes: Sequence[int],
        state: LayerState,
        *,
        recurrent_mask: Tensor | None = None,
    ) -> tuple[Tensor, LayerState]:
        """Run both directions over packed sequences; `torch.autocast` casts the matrix products only.

        Args:
            x_DNP: (2, N, input_size) packed inputs; the second direction's are in its own reading order.
            batch_sizes: number of rows that have not ended yet, for each step, never increasing; their sum is
                N.
            state: the state before the first step, for `batch_sizes[0]` rows.
            recurrent_mask: (2, rows, output_size), multiplied with h where it enters the next step, the same
                at all steps; None: h enters as it is.

        Returns:
            (2, N, output_size) packed outputs, and each row's state after its own last step. No gradient
            flows through the returned state or into the given one: backpropagation is truncated there.
        """
        device = x_DNP.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else self.bias.dtype
        clips = (self.cell_clip, self.projection_clip)
        steps = Steps(batch_sizes)
        bias = self.bias.clone()
        bias.view(2, 4, -1)[:, 2] += FORGET_BIAS
        mask = None if recurrent_mask is None else recurrent_mask.contiguous()
        with torch.autocast(device, enabled=False):
            x_DNP = x_DNP.to(self.bias.dtype)
            given = (x_DNP, self.kernel, bias, self.projection, *state, mask)
            if use_kernels(*given, dtype=dtype):
                h_DNP, h_last, c_last = PackedLstm.apply(*given, steps.sizes, steps.last(), clips, dtype)
            else:
                h_DNP, h_last, c_last = TorchPackedLstm.apply(*given, steps, clips, dtype)
        return h_DNP, (h_last, c_last)
