"""Which layers of a pretrained encoder learn, how fast, and from when on (Howard and Ruder 2018)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol, cast

from torch import nn

from elmo.errors import InputError
from tasks.encoders.token_encoder import TokenEncoder


class Layered(Protocol):
    """What a contextual encoder tells of its parameters."""

    def layer_groups(self) -> list[list[str]]:
        """The names of each layer's parameters, from the context-free layer to the top one."""
        ...


class FineTuning:
    """The fine-tuning of an encoder's contextual parts; all other parts learn as they are made to.

    As it is made, it sets `requires_grad` of the parts' parameters: false if they never learn, so that an
    optimizer made afterwards can leave them out, and true for all that learn at any time. From then on
    `set_epoch` switches it: a parameter whose turn has not come gets no gradient, no optimizer of torch moves
    a parameter without one, and nothing is computed backward through the layers below the last that learns.

    Args:
        parts: of the encoder, by name.
        trainable: whether the contextual ones learn; otherwise the rest is of no effect.
        learning_rate_factor: of the top layer's learning rate, to that of the head.
        layer_factor: of each layer's learning rate, to that of the layer above it; 1 / 2.6 in the paper.
        unfreeze_every: epochs after which the next lower layer begins to learn, the top one from the start;
            None: all at once.

    Raises:
        InputError: a value that makes no sense.
    """

    def __init__(
        self,
        *,
        parts: Mapping[str, TokenEncoder],
        trainable: bool,
        learning_rate_factor: float,
        layer_factor: float,
        unfreeze_every: float | None,
    ) -> None:
        _check_range("learning_rate_factor", learning_rate_factor, math.inf)
        _check_range("layer_factor", layer_factor, 1)
        if unfreeze_every is not None:
            _check_range("unfreeze_every", unfreeze_every, math.inf)
        self.learning_rate_factor, self.layer_factor = learning_rate_factor, layer_factor
        self.unfreeze_every = unfreeze_every
        contextual = {name: part for name, part in parts.items() if part.is_contextual}
        for part in contextual.values():
            part.requires_grad_(False)
        self._layers = (
            {name: _layers_from_top(part) for name, part in contextual.items()} if trainable else {}
        )
        self._set_learning(math.inf)

    def rate_factors(self, prefix: str = "") -> dict[str, float]:
        """What the learning rate of each parameter of the contextual parts is multiplied by, if they learn.

        Args:
            prefix: what stands before a part's name in the names of the model's parameters, with its dot.
        """
        return {
            f"{prefix}{part}.{name}": self.learning_rate_factor * self.layer_factor**depth
            for part, layers in self._layers.items()
            for depth, layer in enumerate(layers)
            for name in layer
        }

    def set_epoch(self, epoch: float) -> None:
        """Let the layers learn whose turn has come after so many epochs of training."""
        if self.unfreeze_every is not None:
            self._set_learning(1 + math.floor(epoch / self.unfreeze_every))

    def _set_learning(self, num_layers: float) -> None:
        for layers in self._layers.values():
            for depth, layer in enumerate(layers):
                for parameter in layer.values():
                    parameter.requires_grad_(depth < num_layers)


def _layers_from_top(part: TokenEncoder) -> list[dict[str, nn.Parameter]]:
    parameters = dict(part.named_parameters())
    groups = cast(Layered, part).layer_groups()
    return [{name: parameters[name] for name in group} for group in reversed(groups)]


def _check_range(name: str, value: float, most: float) -> None:
    if not (0 < value <= most and math.isfinite(value)):
        limit = "a finite number" if most == math.inf else f"at most {most:g}"
        raise InputError(f"fine_tuning.{name}: expected more than 0 and {limit}, got {value}")
