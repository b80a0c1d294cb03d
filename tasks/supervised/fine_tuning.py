"""Fine-tuning: which layers of an encoder are trained, how fast, and when (Howard and Ruder 2018)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol, cast

from torch import nn

from tasks.encoders.token_encoder import TokenEncoder


class Layered(Protocol):
    """An encoder whose parameters are grouped by layer."""

    def layer_groups(self) -> list[list[str]]:
        """The names of each layer's parameters, from the context-free layer to the top one."""
        ...


class FineTuning:
    """Fine-tuning of an encoder's contextual parts, with discriminative learning rates and gradual
    unfreezing.

    The constructor sets `requires_grad` of these parts' parameters: false if they are never trained, so that
    an optimizer can leave them out, true if they are trained at any time. Then `set_epoch` switches it: a
    frozen layer gets no gradient, torch's optimizers skip parameters without a gradient, and the backward
    pass stops above the frozen layers. Parts that are not contextual are left unchanged.

    Args:
        parts: the encoder's parts by name.
        trainable: whether the contextual parts are trained; if not, the other arguments have no effect.
        learning_rate_factor: the top layer's learning rate, relative to the head's.
        layer_factor: each layer's learning rate, relative to that of the layer above; 1 / 2.6 in the paper.
        unfreeze_every: number of epochs after which the next lower layer is unfrozen; the top layer is
            trained from the start. None: all layers are.
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
        """The factor of the learning rate for each trained parameter of the contextual parts, by name.

        Args:
            prefix: precedes a part's name in the model's parameter names; it ends with a dot.
        """
        return {
            f"{prefix}{part}.{name}": self.learning_rate_factor * self.layer_factor**depth
            for part, layers in self._layers.items()
            for depth, layer in enumerate(layers)
            for name in layer
        }

    def set_epoch(self, epoch: float) -> None:
        """Unfreeze the layers that are due after `epoch` epochs of training."""
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
