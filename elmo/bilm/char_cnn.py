"""The character encoder of ELMo: convolutions over a word's bytes, highway layers, a projection.

Source: Peters et al. 2018, section 3.4; Kim et al. 2016.

Shape legend: U distinct types, C characters, E character embedding, F filters in all, P projection.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elmo.bilm.bilm import WordLayer
from elmo.bilm.kernels.highway import CpuHighway
from elmo.bilm.kernels.library import use_kernels
from elmo.bilm.kernels.windows import CharacterFilters
from elmo.bilm.products import rounded
from elmo.errors import InputError, shown
from elmo.text.characters import MAX_CHARACTERS, NUM_CHARACTERS, PAD, TypeTable
from elmo.values import Length, Size

Filters = Annotated[Sequence[Sequence[Size]], Length(1, 100)]  # [width, number] of each convolution
ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh}
CARRY_BIAS = -2.0  # sigmoid(-2) = 0.12: at first, highway layers copy most of their input


class CharCnn(WordLayer):
    """Computes a context-free vector for every word, from its characters only.

    Args:
        embedding_size: size of a character's vector.
        filters: [width, number] of each convolution, in the order in which their outputs are concatenated.
        num_highways: number of highway layers after the convolutions.
        projection_size: size of the resulting word vector.
        activation: relu or tanh, of the convolutions only; highway layers always use relu.
    """

    def __init__(
        self,
        *,
        embedding_size: int,
        filters: Filters,
        num_highways: int,
        projection_size: int,
        activation: str,
    ) -> None:
        super().__init__()
        _check_filters(filters)
        if activation not in ACTIVATIONS:
            raise InputError(
                f"encoder.activation: expected one of {', '.join(ACTIVATIONS)}, got {shown(activation)}"
            )
        num_filters = sum(number for _, number in filters)
        self.filters = [(int(width), int(number)) for width, number in filters]
        self.activation = activation
        self.widest_filter: int = max(width for width, _ in self.filters)
        self.embedding = nn.Parameter(torch.empty(NUM_CHARACTERS, embedding_size))
        self.convolutions = nn.ParameterList(torch.empty(w * embedding_size, n) for w, n in self.filters)
        self.convolution_biases = nn.ParameterList(torch.zeros(n) for _, n in self.filters)
        self.highways = nn.ModuleList(Highway(num_filters) for _ in range(num_highways))
        self.projection = nn.Linear(num_filters, projection_size) if num_filters != projection_size else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise as the original training code does."""
        nn.init.uniform_(self.embedding, -1.0, 1.0)
        for (width, _), weight, bias in zip(
            self.filters, self.convolutions, self.convolution_biases, strict=True
        ):
            if self.activation == "relu":
                nn.init.uniform_(weight, -0.05, 0.05)
            else:
                nn.init.normal_(weight, std=1 / math.sqrt(width * self.embedding.shape[1]))
            nn.init.zeros_(bias)
        if self.projection is not None:
            nn.init.normal_(self.projection.weight, std=1 / math.sqrt(self.projection.in_features))
            nn.init.zeros_(self.projection.bias)

    def read(self, types: TypeTable, type_ids: np.ndarray) -> Tensor:
        """(U, C) character ids, cropped without changing what the convolutions compute from them."""
        return torch.from_numpy(types.characters(type_ids, widest_filter=self.widest_filter))

    def forward(self, characters_UC: Tensor) -> Tensor:
        """(U, C) character ids, C at least the widest filter -> (U, P) word vectors."""
        num_types = len(characters_UC)
        num_rows = rounded(num_types) if characters_UC.device.type == "cpu" else num_types
        if torch.is_grad_enabled() and use_kernels(self.embedding):
            filters = (*self.convolutions, *self.convolution_biases)
            vectors_UF = CharacterFilters.apply(
                characters_UC, self.embedding, PAD, self.activation == "tanh", num_rows, *filters
            )
        else:
            maxima = self._convolve(F.embedding(characters_UC, self.embedding))
            vectors_UF = ACTIVATIONS[self.activation](maxima + torch.cat(list(self.convolution_biases)))
            vectors_UF = F.pad(vectors_UF, (0, 0, 0, num_rows - num_types))
        for highway in self.highways:
            vectors_UF = highway(vectors_UF)
        vectors_UP = vectors_UF if self.projection is None else self.projection(vectors_UF)
        return vectors_UP[:num_types]

    def _convolve(self, embedded_UCE: Tensor) -> Tensor:
        """The maximum over positions of every filter, (U, F), before bias and activation.

        All filters run as one matrix product over windows as wide as the widest filter: the windows are built
        once, and in the published sizes the widest filters hold most of the weights anyway. A narrower filter
        is padded with zeros, and has more valid positions.
        """
        U, C, E = embedded_UCE.shape
        widest = self.widest_filter
        padded = F.pad(embedded_UCE, (0, 0, 0, widest - 1))
        windows = padded.as_strided((U, C, widest * E), (padded.stride(0), E, 1))
        weight = torch.cat([F.pad(w, (0, 0, 0, widest * E - len(w))) for w in self.convolutions], dim=1)
        scores_UCF = windows @ weight
        with torch.no_grad():
            columns = scores_UCF.split([number for _, number in self.filters], dim=2)
            best = [
                c[:, : C - width + 1].max(dim=1).indices
                for c, (width, _) in zip(columns, self.filters, strict=True)
            ]
        # gather, not max: its backward pass is one scatter instead of a full-size tensor per filter width
        return scores_UCF.gather(1, torch.cat(best, dim=1)[:, None]).squeeze(1)

    def flops_per_word(self) -> int:
        """FLOPs for a word padded to 50 characters, without what cropping saves."""
        embedding_size = self.embedding.shape[1]
        convolutions = sum(
            (MAX_CHARACTERS - width + 1) * width * embedding_size * number for width, number in self.filters
        )
        linears = [*self.highways.parameters()] + (
            [] if self.projection is None else [self.projection.weight]
        )
        return 2 * (convolutions + sum(weight.numel() for weight in linears if weight.dim() == 2))

    def activations_per_word(self) -> int:
        """The maxima before and after the bias, the activation and the highways, all kept for gradients."""
        return (4 + 3 * len(self.highways)) * sum(number for _, number in self.filters)

    def official_options(self) -> dict[str, Any]:
        return {
            "char_cnn": {
                "activation": self.activation,
                "filters": [list(entry) for entry in self.filters],
                "n_highway": len(self.highways),
                "embedding": {"dim": self.embedding.shape[1]},
                "n_characters": NUM_CHARACTERS + 1,  # the original code accepts only 262 at inference
                "max_characters_per_token": MAX_CHARACTERS,
            }
        }

    def official_tensors(self) -> dict[str, Tensor]:
        tensors: dict[str, Tensor] = {"char_embed": self.embedding}
        for index, (width, number) in enumerate(self.filters):
            tensors[f"CNN/W_cnn_{index}"] = self.convolutions[index].view(1, width, -1, number)
            tensors[f"CNN/b_cnn_{index}"] = self.convolution_biases[index]
        linears = {
            f"CNN_high_{index}/{{}}_{gate}": highway.get_submodule(gate)
            for index, highway in enumerate(self.highways)
            for gate in ("carry", "transform")
        }
        if self.projection is not None:
            linears["CNN_proj/{}_proj"] = self.projection
        for name, linear in linears.items():
            assert isinstance(linear, nn.Linear)
            tensors[name.format("W")], tensors[name.format("b")] = linear.weight.T, linear.bias
        return tensors


class Highway(nn.Module):
    """y = g relu(transform(x)) + (1 - g) x with g = sigmoid(carry(x)).

    `carry` is the original's name for the gate, although it weights the transformed part.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.carry = nn.Linear(size, size)
        self.transform = nn.Linear(size, size)
        for linear in (self.carry, self.transform):
            nn.init.normal_(linear.weight, std=1 / math.sqrt(size))
        nn.init.constant_(self.carry.bias, CARRY_BIAS)
        nn.init.zeros_(self.transform.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(U, size) -> (U, size)."""
        device = x.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
        if torch.is_grad_enabled() and use_kernels(x, dtype=dtype):
            weights = (
                part for linear in (self.carry, self.transform) for part in (linear.weight, linear.bias)
            )
            return CpuHighway.apply(x, dtype, *weights)
        gate = torch.sigmoid(self.carry(x))
        return x + gate * (torch.relu(self.transform(x)) - x)


def _check_filters(filters: Sequence[Sequence[int]]) -> None:
    for entry in filters:
        if len(entry) != 2 or entry[0] > MAX_CHARACTERS:
            raise InputError(
                f"encoder.filters: expected [width 1-{MAX_CHARACTERS}, number >= 1], got {shown(list(entry))}"
            )
