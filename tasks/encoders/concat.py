"""Several encoders side by side: a word has the vectors of all of them, joined."""

from __future__ import annotations

from typing import Any

from torch import nn

from elmo.errors import InputError
from elmo.registry import REGISTRY
from tasks.encoders.elmo import ElmoEncoder
from tasks.encoders.parts import build_part, for_each_part


@REGISTRY.register("encoder", "concat")
class ConcatEncoder(nn.Module):
    """Encoders under names; whoever uses them mixes the layers of each and joins what comes out.

    Args:
        parts: the config node of each, two at least, by an identifier that the config chooses. One biLM at
            most: `init_from` gives the weights of one.

    Attributes:
        parts: the encoders, in that order.
    """

    def __init__(self, *, parts: dict[str, Any]) -> None:
        super().__init__()
        if len(parts) < 2:
            raise InputError(f"encoder.parts: expected two at least, got {', '.join(parts) or 'none'}")
        for name in parts:
            if not str(name).isidentifier() or hasattr(nn.ModuleDict, str(name)):
                raise InputError(f"encoder.parts.{name}: expected another name, of letters, digits and _")
        self.parts = nn.ModuleDict(for_each_part(parts, build_part))
        bilms = [name for name, part in self.parts.items() if isinstance(part, ElmoEncoder)]
        if len(bilms) > 1:
            raise InputError(f"encoder.parts.{bilms[1]}: a second biLM beside {bilms[0]}; one at most")
